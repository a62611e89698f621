output "ecr" {
  description = "What other stacks and the orchestrator need of this one."
  value = {
    build_project_name = module.image_build.project_name
    repository_arn     = module.registry.repository_arn
    repository_name    = module.registry.repository_name
    repository_url     = module.registry.repository_url
  }
}
