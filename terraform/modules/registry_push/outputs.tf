output "policy" {
  description = "Policy document (JSON), for source_policy_documents of a role's own."
  value       = data.aws_iam_policy_document.this.json
}
