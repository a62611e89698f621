mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/chatbot-image" }
  }
}

variables {
  name   = "chatbot"
  region = "us-east-1"

  state_bucket = "chatbot-prod-state-123456789012-us-east-1"
}

run "the_output_is_what_other_stacks_declare" {
  assert {
    condition     = toset(keys(output.ecr)) == toset(["build_project_name", "repository_arn", "repository_name", "repository_url"]) && output.ecr.repository_name == "chatbot"
    error_message = "The output is not the contract's."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    keep_images = 1
    name        = "a-name-of-more-than-twenty-six"
  }

  expect_failures = [var.keep_images, var.name]
}
