mock_provider "aws" {}

variables {
  repository_arn = "arn:aws:ecr:us-east-1:123456789012:repository/chatbot"
}

run "images_go_to_the_one_repository_and_nothing_is_deleted" {
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.this.statement : statement.resources if contains(statement.actions, "ecr:PutImage")]) == toset([var.repository_arn])
    error_message = "A push goes elsewhere."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.this.statement : !contains(statement.resources, "*") || statement.actions == toset(["ecr:GetAuthorizationToken"])])
    error_message = "Something else than the registry's token is allowed everywhere."
  }

  assert {
    condition     = !anytrue(flatten([for statement in data.aws_iam_policy_document.this.statement : [for action in statement.actions : strcontains(action, "Delete") || endswith(action, "*")]]))
    error_message = "More is allowed than to push."
  }
}
