mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }

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
    defaults = { arn = "arn:aws:codepipeline:eu-west-1:123456789012:chatbot" }
  }

  mock_resource "aws_codestarconnections_connection" {
    defaults = { arn = "arn:aws:codestar-connections:eu-west-1:123456789012:connection/new" }
  }
}

override_resource {
  target = aws_codecommit_repository.this[0]
  values = { arn = "arn:aws:codecommit:eu-west-1:123456789012:chatbot", clone_url_http = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/chatbot" }
}

override_resource {
  target = aws_codebuild_project.this
  values = { arn = "arn:aws:codebuild:eu-west-1:123456789012:project/chatbot-build" }
}

override_resource {
  target = aws_cloudwatch_log_group.build
  values = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/codebuild/chatbot" }
}

override_module {
  target  = module.push
  outputs = { policy = "{\"Id\":\"push\"}" }
}

variables {
  name                   = "chatbot"
  application_name       = "chatbot"
  artifacts              = { bucket = "chatbot-artifacts", bucket_arn = "arn:aws:s3:::chatbot-artifacts", key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1" }
  branch                 = "main"
  build_compute_type     = "BUILD_GENERAL1_SMALL"
  build_timeout_minutes  = 20
  deployment_config_name = "CodeDeployDefault.ECSAllAtOnce"
  deployment_group_name  = "chatbot"
  image                  = { build_args = { WITH_MODEL = "1" }, builder = "auto", context = ".", dockerfile = "Dockerfile", platform = "linux/amd64", target = "" }
  log_retention_days     = 30
  placeholders           = { FAMILY = "chatbot", CHATBOT_SYSTEM_PROMPT = "Say \"hi\"" }
  registry_arn           = "arn:aws:ecr:eu-west-1:123456789012:repository/chatbot"
  registry_name          = "chatbot"
  registry_url           = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/chatbot"
  task_role_arns         = ["arn:aws:iam::123456789012:role/chatbot-execution", "arn:aws:iam::123456789012:role/chatbot-task"]
}

run "a_push_is_built_and_deployed_in_turn" {
  assert {
    condition     = aws_codepipeline.this.pipeline_type == "V2" && aws_codepipeline.this.execution_mode == "QUEUED"
    error_message = "It is not a queued V2 pipeline."
  }

  assert {
    condition     = [for stage in aws_codepipeline.this.stage : stage.name] == ["Source", "Build", "Deploy"]
    error_message = "The stages are not Source, Build, Deploy."
  }

  assert {
    condition     = aws_codepipeline.this.stage[0].action[0].provider == "CodeCommit" && aws_codepipeline.this.stage[0].action[0].configuration["PollForSourceChanges"] == "false" && aws_codepipeline.this.stage[0].action[0].configuration["BranchName"] == "main"
    error_message = "The source is not the branch of the repository, or is polled."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.push[0].event_pattern).detail.referenceName == ["main"] && jsondecode(aws_cloudwatch_event_rule.push[0].event_pattern).resources == [aws_codecommit_repository.this[0].arn] && aws_cloudwatch_event_target.pipeline[0].arn == aws_codepipeline.this.arn
    error_message = "A push to the branch does not start the pipeline."
  }
}

run "the_build_is_told_the_commit_and_when_it_was_written" {
  assert {
    condition     = aws_codepipeline.this.stage[0].action[0].namespace == "SourceVariables"
    error_message = "The source's variables have no namespace."
  }

  assert {
    condition     = { for each in jsondecode(aws_codepipeline.this.stage[1].action[0].configuration["EnvironmentVariables"]) : each.name => each.value } == { IMAGE_REVISION = "#{SourceVariables.CommitId}", IMAGE_CREATED = "#{SourceVariables.AuthorDate}", IMAGE_REBUILD = "#{variables.REBUILD}" }
    error_message = "The build does not get the commit and its date."
  }

  assert {
    condition     = { for each in aws_codepipeline.this.variable : each.name => each.default_value } == { REBUILD = "no" }
    error_message = "A push does not start without a value of the variable, or an empty one, which CodePipeline refuses."
  }
}

run "the_deploy_action_has_the_keys_that_codedeploy_to_ecs_takes" {
  assert {
    condition = aws_codepipeline.this.stage[2].action[0].provider == "CodeDeployToECS" && jsonencode(aws_codepipeline.this.stage[2].action[0].configuration) == jsonencode({
      AppSpecTemplateArtifact        = "build"
      AppSpecTemplatePath            = "appspec.yaml"
      ApplicationName                = "chatbot"
      DeploymentGroupName            = "chatbot"
      Image1ArtifactName             = "build"
      Image1ContainerName            = "IMAGE1_NAME"
      TaskDefinitionTemplateArtifact = "build"
      TaskDefinitionTemplatePath     = "taskdef.json"
    })
    error_message = "The action's configuration is not the documented one."
  }
}

run "a_person_can_be_asked_before_deploy" {
  variables {
    approval = true
  }

  assert {
    condition     = [for stage in aws_codepipeline.this.stage : stage.name] == ["Source", "Build", "Approval", "Deploy"] && aws_codepipeline.this.stage[2].action[0].category == "Approval"
    error_message = "There is no approval between Build and Deploy."
  }
}

run "a_github_repository_over_a_connection_of_its_own" {
  variables {
    github_repository = "acme/chatbot"
  }

  assert {
    condition     = aws_codepipeline.this.stage[0].action[0].provider == "CodeStarSourceConnection" && aws_codepipeline.this.stage[0].action[0].configuration["FullRepositoryId"] == "acme/chatbot" && aws_codepipeline.this.stage[0].action[0].configuration["ConnectionArn"] == aws_codestarconnections_connection.this[0].arn
    error_message = "The source is not the GitHub repository."
  }

  assert {
    condition     = length(aws_codecommit_repository.this) + length(aws_cloudwatch_event_rule.push) + length(aws_iam_role.events) == 0
    error_message = "Something is left of CodeCommit."
  }

  assert {
    condition     = output.connection_arn == aws_codestarconnections_connection.this[0].arn && output.clone_url_http == "https://github.com/acme/chatbot.git"
    error_message = "The outputs do not name the connection and the repository."
  }

  assert {
    condition     = contains(flatten([for statement in data.aws_iam_policy_document.pipeline.statement : statement.resources if contains(statement.actions, "codestar-connections:UseConnection")]), aws_codestarconnections_connection.this[0].arn)
    error_message = "The pipeline may not use the connection."
  }

  # As CDK's grants for this action: https://github.com/aws/aws-cdk/issues/13557.
  assert {
    condition     = contains(flatten([for statement in data.aws_iam_policy_document.pipeline.statement : statement.resources if contains(statement.actions, "s3:PutObjectAcl")]), "${var.artifacts.bucket_arn}/*")
    error_message = "The source action may not upload with an ACL."
  }
}

run "a_connection_that_exists_is_used" {
  variables {
    github_repository = "acme/chatbot"
    connection_arn    = "arn:aws:codeconnections:eu-west-1:123456789012:connection/old"
  }

  assert {
    condition     = length(aws_codestarconnections_connection.this) == 0 && aws_codepipeline.this.stage[0].action[0].configuration["ConnectionArn"] == "arn:aws:codeconnections:eu-west-1:123456789012:connection/old"
    error_message = "The given connection is not used."
  }
}

run "every_artifact_is_encrypted_with_the_key" {
  assert {
    condition     = one(aws_codepipeline.this.artifact_store).encryption_key[0].id == var.artifacts.key_arn && one(aws_codepipeline.this.artifact_store).location == "chatbot-artifacts" && aws_codebuild_project.this.encryption_key == var.artifacts.key_arn
    error_message = "An artifact is not encrypted with the key, or lies elsewhere."
  }
}

run "the_build_knows_what_it_builds_and_renders" {
  assert {
    condition     = aws_codebuild_project.this.environment[0].privileged_mode && one(aws_codebuild_project.this.source).type == "CODEPIPELINE" && one(aws_codebuild_project.this.source).buildspec == "buildspec.yml"
    error_message = "The build cannot run docker, or not the buildspec."
  }

  assert {
    condition = jsonencode({ for variable in aws_codebuild_project.this.environment[0].environment_variable : variable.name => variable.value }) == jsonencode({
      ACCOUNT_ID       = "123456789012"
      IMAGE_BUILD_ARGS = "--build-arg WITH_MODEL=1"
      IMAGE_BUILDER    = "auto"
      IMAGE_CONTEXT    = "."
      IMAGE_DOCKERFILE = "Dockerfile"
      IMAGE_PLATFORM   = "linux/amd64"
      IMAGE_TARGET     = ""
      PLACEHOLDERS     = jsonencode(var.placeholders)
      REGION           = "eu-west-1"
      REPOSITORY_URL   = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/chatbot"
      REPO_NAME        = "chatbot"
    })
    error_message = "The build's environment is not what buildspec.yml reads."
  }
}

run "an_arm_image_is_built_on_arm" {
  variables {
    image = { build_args = {}, builder = "auto", context = ".", dockerfile = "Dockerfile", platform = "linux/arm64", target = "" }
  }

  assert {
    condition     = aws_codebuild_project.this.environment[0].type == "ARM_CONTAINER" && aws_codebuild_project.this.environment[0].image == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    error_message = "The build would emulate ARM, or CodeBuild would refuse its image."
  }
}

run "the_pipeline_may_do_what_its_actions_do_and_no_more" {
  assert {
    condition = jsonencode({ for statement in data.aws_iam_policy_document.pipeline.statement : join(" ", sort(statement.actions)) => sort(statement.resources) }) == jsonencode({
      "codebuild:BatchGetBuilds codebuild:StartBuild"                                                                                       = [aws_codebuild_project.this.arn]
      "codecommit:CancelUploadArchive codecommit:GetBranch codecommit:GetCommit codecommit:GetUploadArchiveStatus codecommit:UploadArchive" = [aws_codecommit_repository.this[0].arn]
      "codedeploy:CreateDeployment codedeploy:GetDeployment"                                                                                = ["arn:aws:codedeploy:eu-west-1:123456789012:deploymentgroup:chatbot/chatbot"]
      "codedeploy:GetApplication codedeploy:GetApplicationRevision codedeploy:RegisterApplicationRevision"                                  = ["arn:aws:codedeploy:eu-west-1:123456789012:application:chatbot"]
      "codedeploy:GetDeploymentConfig"                                                                                                      = ["arn:aws:codedeploy:eu-west-1:123456789012:deploymentconfig:CodeDeployDefault.ECSAllAtOnce"]
      "ecs:RegisterTaskDefinition"                                                                                                          = ["*"]
      "iam:PassRole"                                                                                                                        = var.task_role_arns
    })
    error_message = "The pipeline's permissions are not those that its actions need."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.pipeline.statement : one(statement.condition).variable == "iam:PassedToService" && one(statement.condition).values == tolist(["ecs-tasks.amazonaws.com"]) if contains(statement.actions, "iam:PassRole")])
    error_message = "The task roles can be passed to other services than ECS."
  }
}

run "the_build_may_push_to_its_repository_alone" {
  assert {
    condition     = contains(data.aws_iam_policy_document.build.source_policy_documents, "{\"Id\":\"push\"}") && !anytrue(flatten([for statement in data.aws_iam_policy_document.build.statement : [for action in statement.actions : startswith(action, "ecr:")]]))
    error_message = "The build may do more with images, or less, than push them to the one repository."
  }

  assert {
    condition     = !anytrue(flatten([for statement in concat(data.aws_iam_policy_document.build.statement, data.aws_iam_policy_document.artifacts_access.statement) : [for action in statement.actions : endswith(action, ":*")]]))
    error_message = "A whole service is open to the build."
  }

  assert {
    condition     = toset(data.aws_iam_policy_document.events.statement[0].actions) == toset(["codepipeline:StartPipelineExecution"]) && one(data.aws_iam_policy_document.events.statement[0].resources) == "arn:aws:codepipeline:eu-west-1:123456789012:chatbot"
    error_message = "The event's role may do more than start the pipeline."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    build_timeout_minutes = 4
    connection_arn        = "arn:aws:codeconnections:eu-west-1:123456789012:connection/old"
    image                 = { build_args = { MODEL = "a; rm -rf /" }, builder = "auto", context = ".", dockerfile = "Dockerfile", platform = "linux/amd64", target = "" }
  }

  expect_failures = [var.build_timeout_minutes, var.connection_arn, var.image]
}

run "a_repository_without_its_owner_is_refused" {
  command = plan

  variables {
    github_repository = "chatbot"
  }

  expect_failures = [var.github_repository]
}
