resource "aws_secretsmanager_secret" "token" {
  name                    = "${var.name}/hf-token"
  description             = "Hugging Face token of ${var.name}; set it with: python -m orchestrator secret set"
  recovery_window_in_days = var.recovery_days
}

# A task cannot start with a secret that has no value, so the first one says "unset". Later ones are put by the
# orchestrator and never pass through Terraform: docs/decisions/0001-write-only-secret.md.
resource "aws_secretsmanager_secret_version" "token" {
  secret_id                = aws_secretsmanager_secret.token.id
  secret_string_wo         = "unset"
  secret_string_wo_version = 1

  # A version without any label is deleted by AWS; the label of its own keeps this one in Terraform's sight.
  version_stages = ["AWSCURRENT", "TERRAFORM"]

  lifecycle {
    # AWSCURRENT moves on to the token.
    ignore_changes = [version_stages]
  }
}
