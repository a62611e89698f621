output "ecs" {
  description = "What other stacks and the orchestrator need of this one."
  value = {
    application_name       = module.deployment.application_name
    cluster_arn            = module.service.cluster_arn
    cluster_name           = module.service.cluster_name
    container_name         = "chatbot"
    container_port         = 7860
    deployment_config_name = module.deployment.deployment_config_name
    deployment_group_name  = module.deployment.deployment_group_name
    execution_role_arn     = module.service.execution_role_arn
    log_group_name         = module.service.log_group_name
    placeholders           = merge(module.service.placeholders, module.deployment.placeholders)
    service_arn            = module.service.service_arn
    service_name           = module.service.service_name
    task_family            = module.service.task_family
    task_role_arn          = module.service.task_role_arn
  }
}
