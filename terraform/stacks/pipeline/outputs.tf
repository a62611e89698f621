output "pipeline" {
  description = "What the orchestrator needs of this stack."
  value = {
    artifact_bucket    = var.artifacts.bucket
    branch             = var.branch
    build_project_name = module.pipeline.build_project_name
    clone_url_http     = module.pipeline.clone_url_http
    connection_arn     = module.pipeline.connection_arn
    pipeline_name      = module.pipeline.pipeline_name
    repository_name    = module.pipeline.repository_name
  }
}
