locals {
  # CodeBuild refuses a curated image of another architecture than the machine's (orchestrator/tools/codebuild.py has them too).
  # https://docs.aws.amazon.com/codebuild/latest/userguide/ec2-compute-images.html
  curated_images = {
    "linux/amd64" = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    "linux/arm64" = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
  }

  build_environment = {
    ACCOUNT_ID       = data.aws_caller_identity.this.account_id
    REGION           = data.aws_region.this.name
    REPO_NAME        = var.registry_name
    REPOSITORY_URL   = var.registry_url
    IMAGE_BUILDER    = var.image.builder
    IMAGE_CONTEXT    = var.image.context
    IMAGE_DOCKERFILE = var.image.dockerfile
    IMAGE_PLATFORM   = var.image.platform
    IMAGE_TARGET     = var.image.target
    IMAGE_BUILD_ARGS = join(" ", [for name, value in var.image.build_args : "--build-arg ${name}=${value}"])

    # What taskdef.json and appspec.yaml are rendered with: a change of a setting reaches the tasks with the next release.
    PLACEHOLDERS = jsonencode(var.placeholders)
  }
}

resource "aws_cloudwatch_log_group" "build" {
  name              = "/codebuild/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_codebuild_project" "this" {
  name           = "${var.name}-build"
  description    = "Image and documents of a release of ${var.name}"
  service_role   = aws_iam_role.build.arn
  build_timeout  = var.build_timeout_minutes
  encryption_key = var.artifacts.key_arn

  source {
    type      = "CODEPIPELINE"
    buildspec = "buildspec.yml"
  }

  artifacts {
    type = "CODEPIPELINE"
  }

  environment {
    type         = var.image.platform == "linux/arm64" ? "ARM_CONTAINER" : "LINUX_CONTAINER"
    compute_type = var.build_compute_type
    image        = coalesce(var.build_image, local.curated_images[var.image.platform])

    # docker build needs an engine of its own.
    privileged_mode = true

    dynamic "environment_variable" {
      for_each = local.build_environment

      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.build.name
    }
  }
}
