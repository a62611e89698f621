mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a-role" }
  }

  mock_resource "aws_codepipeline" {
    defaults = { arn = "arn:aws:codepipeline:us-east-1:123456789012:chatbot" }
  }
}

variables {
  name   = "chatbot"
  region = "us-east-1"

  artifacts = {
    bucket     = "chatbot-artifacts"
    bucket_arn = "arn:aws:s3:::chatbot-artifacts"
    key_arn    = "arn:aws:kms:us-east-1:123456789012:key/1"
  }

  ecr = {
    repository_arn  = "arn:aws:ecr:us-east-1:123456789012:repository/chatbot"
    repository_name = "chatbot"
    repository_url  = "123456789012.dkr.ecr.us-east-1.amazonaws.com/chatbot"
  }

  ecs = {
    application_name       = "chatbot"
    deployment_config_name = "CodeDeployDefault.ECSAllAtOnce"
    deployment_group_name  = "chatbot"
    execution_role_arn     = "arn:aws:iam::123456789012:role/chatbot-execution"
    placeholders           = { FAMILY = "chatbot" }
    task_role_arn          = "arn:aws:iam::123456789012:role/chatbot-task"
  }
}

run "the_defaults_release_pushes_to_main_of_a_codecommit_repository" {
  assert {
    condition     = output.pipeline.branch == "main" && output.pipeline.repository_name == "chatbot" && output.pipeline.connection_arn == null && output.pipeline.build_project_name == "chatbot-build"
    error_message = "The defaults are not a CodeCommit repository and its branch main."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    branch                = "-x"
    build_compute_type    = "HUGE"
    build_timeout_minutes = 3
    github_repository     = "https://github.com/acme/chatbot"
    image                 = { platform = "windows/amd64" }
    log_retention_days    = 8
    name                  = "1chatbot"
  }

  expect_failures = [
    var.branch, var.build_compute_type, var.build_timeout_minutes, var.github_repository,
    var.image, var.log_retention_days, var.name,
  ]
}

run "what_is_no_connection_is_refused" {
  command = plan

  variables {
    connection_arn    = "arn:aws:iam::123456789012:role/no-connection"
    github_repository = "acme/chatbot"
  }

  expect_failures = [var.connection_arn]
}

run "a_connection_without_a_repository_is_refused" {
  command = plan

  variables {
    connection_arn = "arn:aws:codeconnections:us-east-1:123456789012:connection/1"
  }

  expect_failures = [var.connection_arn]
}

run "an_unknown_builder_is_refused" {
  command = plan

  variables {
    image = { builder = "make" }
  }

  expect_failures = [var.image]
}

run "build_arguments_that_a_shell_would_read_are_refused" {
  command = plan

  variables {
    image = { build_args = { NAME = "$(id)" } }
  }

  expect_failures = [var.image]
}
