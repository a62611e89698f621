output "application_name" {
  description = "CodeDeploy application."
  value       = aws_codedeploy_app.this.name
}

output "deployment_config_name" {
  description = "How a release shifts traffic."
  value       = local.config_name
}

output "deployment_group_name" {
  description = "CodeDeploy deployment group."
  value       = aws_codedeploy_deployment_group.this.deployment_group_name
}

output "placeholders" {
  description = "Placeholders of appspec.yaml: its hooks, as a line of YAML."
  value = {
    HOOKS = var.hook == null ? "# No hooks." : "Hooks: ${jsonencode([{ AfterAllowTestTraffic = aws_lambda_function.hook["this"].function_name }])}"
  }
}
