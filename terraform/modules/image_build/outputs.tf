output "project_name" {
  description = "Name of the CodeBuild project."
  value       = aws_codebuild_project.this.name

  # A build that starts before its role may push fails.
  depends_on = [aws_iam_role_policy.this]
}
