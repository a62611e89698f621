output "ecr" {
  description = "What other stacks and the orchestrator need of this one."
  value = {
    repository_arn  = module.registry.repository_arn
    repository_name = module.registry.repository_name
    repository_url  = module.registry.repository_url
  }
}
