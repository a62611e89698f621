"""EventBridge: rules and targets are moto's; matching and delivery are ours."""
