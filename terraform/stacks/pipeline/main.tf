module "pipeline" {
  source = "../../modules/pipeline"

  application_name       = var.ecs.application_name
  approval               = var.approval
  artifacts              = var.artifacts
  branch                 = var.branch
  build_compute_type     = var.build_compute_type
  build_image            = var.build_image
  build_timeout_minutes  = var.build_timeout_minutes
  connection_arn         = var.connection_arn
  deployment_config_name = var.ecs.deployment_config_name
  deployment_group_name  = var.ecs.deployment_group_name
  github_repository      = var.github_repository
  image                  = var.image
  log_retention_days     = var.log_retention_days
  name                   = var.name
  placeholders           = var.ecs.placeholders
  registry_arn           = var.ecr.repository_arn
  registry_name          = var.ecr.repository_name
  registry_url           = var.ecr.repository_url
  task_role_arns         = [var.ecs.execution_role_arn, var.ecs.task_role_arn]
}
