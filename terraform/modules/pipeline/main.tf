data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  # What ARNs of this account and region begin with, up to the service.
  arn_of = {
    for service in ["codedeploy", "codepipeline", "codebuild"] :
    service => "arn:${data.aws_partition.this.partition}:${service}:${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}"
  }
}

resource "aws_codepipeline" "this" {
  name = var.name

  # Explicitly: the provider's defaults are V1 and SUPERSEDED, and V1 drifts.
  pipeline_type  = "V2"
  execution_mode = "QUEUED"
  role_arn       = aws_iam_role.pipeline.arn

  # No value of a variable is empty: "no" is nothing (orchestrator release --rebuild gives a name).
  variable {
    name          = "REBUILD"
    default_value = "no"
    description   = "Name of an image that is built anew although there is one of the same source; no: none"
  }

  artifact_store {
    type     = "S3"
    location = var.artifacts.bucket

    encryption_key {
      type = "KMS"
      id   = var.artifacts.key_arn
    }
  }

  stage {
    name = "Source"

    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = local.source.provider
      version          = "1"
      namespace        = "SourceVariables"
      output_artifacts = ["source"]
      configuration    = local.source.configuration
    }
  }

  stage {
    name = "Build"

    action {
      name             = "Build"
      category         = "Build"
      owner            = "AWS"
      provider         = "CodeBuild"
      version          = "1"
      input_artifacts  = ["source"]
      output_artifacts = ["build"]

      configuration = {
        ProjectName = aws_codebuild_project.this.name

        # The source comes without its history. CodeCommit and GitHub both say when the author wrote the commit.
        EnvironmentVariables = jsonencode([
          { name = "IMAGE_REVISION", value = "#{SourceVariables.CommitId}", type = "PLAINTEXT" },
          { name = "IMAGE_CREATED", value = "#{SourceVariables.AuthorDate}", type = "PLAINTEXT" },
          { name = "IMAGE_REBUILD", value = "#{variables.REBUILD}", type = "PLAINTEXT" },
        ])
      }
    }
  }

  dynamic "stage" {
    for_each = var.approval ? ["Approval"] : []

    content {
      name = stage.value

      action {
        name     = stage.value
        category = "Approval"
        owner    = "AWS"
        provider = "Manual"
        version  = "1"
      }
    }
  }

  stage {
    name = "Deploy"

    action {
      name            = "Deploy"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "CodeDeployToECS"
      version         = "1"
      input_artifacts = ["build"]

      configuration = {
        ApplicationName                = var.application_name
        DeploymentGroupName            = var.deployment_group_name
        TaskDefinitionTemplateArtifact = "build"
        TaskDefinitionTemplatePath     = "taskdef.json"
        AppSpecTemplateArtifact        = "build"
        AppSpecTemplatePath            = "appspec.yaml"
        Image1ArtifactName             = "build"
        Image1ContainerName            = "IMAGE1_NAME"
      }
    }
  }

  # The first execution starts with the pipeline: its role must be able to do its work by then.
  depends_on = [aws_iam_role_policy.build, aws_iam_role_policy.pipeline]
}
