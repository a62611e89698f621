mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/chatbot-image" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:/codebuild/chatbot-image" }
  }
}

override_module {
  target  = module.push
  outputs = { policy = "{\"Id\":\"push\"}" }
}

variables {
  name         = "chatbot"
  registry_arn = "arn:aws:ecr:us-east-1:123456789012:repository/chatbot"
  state_bucket = "chatbot-prod-state-123456789012-us-east-1"
}

run "the_build_has_an_engine_and_takes_whatever_source_it_is_started_with" {
  assert {
    condition     = aws_codebuild_project.this.environment[0].privileged_mode && one(aws_codebuild_project.this.source).type == "NO_SOURCE"
    error_message = "The project cannot build an image from a source that each build brings."
  }

  assert {
    condition     = strcontains(one(aws_codebuild_project.this.source).buildspec, "orchestrator.tools.image")
    error_message = "The build does not run the orchestrator's own image builder."
  }
}

run "of_the_state_bucket_it_reads_the_sources_alone" {
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.this.statement :
      alltrue([for resource in statement.resources : endswith(resource, "/sources/*")]) if contains(statement.actions, "s3:GetObject")
    ])
    error_message = "The build's role reads more of the state bucket than its sources."
  }

  assert {
    condition     = length([for statement in data.aws_iam_policy_document.this.statement : statement if contains(statement.actions, "s3:GetObject")]) == 1
    error_message = "The build's role cannot read its source."
  }
}

run "in_a_shared_bucket_they_are_below_the_environments_name" {
  variables {
    sources = "chatbot-prod/sources"
  }

  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.this.statement :
      alltrue([for resource in statement.resources : endswith(resource, ":s3:::chatbot-prod-state-123456789012-us-east-1/chatbot-prod/sources/*")]) if contains(statement.actions, "s3:GetObject")
    ])
    error_message = "The build's role does not read where its source lies."
  }
}

run "it_pushes_to_the_one_repository" {
  assert {
    condition     = data.aws_iam_policy_document.this.source_policy_documents == tolist(["{\"Id\":\"push\"}"])
    error_message = "The build's role cannot push."
  }

  assert {
    condition     = !anytrue(flatten([for statement in data.aws_iam_policy_document.this.statement : [for action in statement.actions : startswith(action, "ecr:") || contains(statement.resources, "*")]]))
    error_message = "The build's role may do more with images than push them to the one repository."
  }
}
