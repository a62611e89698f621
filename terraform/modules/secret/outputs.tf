output "arn" {
  description = "ARN of the Hugging Face token's secret."
  value       = aws_secretsmanager_secret.token.arn

  # A task that starts before there is a value fails.
  depends_on = [aws_secretsmanager_secret_version.token]
}

output "name" {
  description = "Name of the Hugging Face token's secret."
  value       = aws_secretsmanager_secret.token.name
}
