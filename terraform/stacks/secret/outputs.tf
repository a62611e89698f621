output "secret" {
  description = "What the stack ecs and the orchestrator need of this stack."
  value = {
    arn  = module.secret.arn
    name = module.secret.name
  }
}
