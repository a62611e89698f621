output "build_project_name" {
  description = "CodeBuild project."
  value       = aws_codebuild_project.this.name
}

output "clone_url_http" {
  description = "Where to push to."
  value       = local.github ? "https://github.com/${var.github_repository}.git" : aws_codecommit_repository.this[0].clone_url_http

  # A push before the rule stands would start nothing.
  depends_on = [aws_cloudwatch_event_target.pipeline, aws_iam_role_policy.events]
}

output "connection_arn" {
  description = "Connection to GitHub, which must be accepted before the first release; null with CodeCommit."
  value       = local.connection_arn
}

output "pipeline_name" {
  description = "The pipeline."
  value       = aws_codepipeline.this.name
}

output "repository_name" {
  description = "CodeCommit repository, or OWNER/REPOSITORY on GitHub."
  value       = local.repository_name
}
