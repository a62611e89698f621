resource "aws_cloudwatch_log_group" "this" {
  name              = "/codebuild/${var.name}-image"
  retention_in_days = 30
}

# Idle it costs nothing. Each build brings its source and its variables, and may ask for another machine.
resource "aws_codebuild_project" "this" {
  name          = "${var.name}-image"
  description   = "Images of ${var.name}, for a deployer without Docker"
  service_role  = aws_iam_role.this.arn
  build_timeout = 30

  source {
    type      = "NO_SOURCE"
    buildspec = file("${path.module}/buildspec.yml")
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type         = "LINUX_CONTAINER"
    compute_type = "BUILD_GENERAL1_SMALL"
    image        = "aws/codebuild/amazonlinux-x86_64-standard:5.0"

    # docker build needs an engine of its own.
    privileged_mode = true
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["codebuild.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_iam_role" "this" {
  name               = "${var.name}-image-${data.aws_region.this.name}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

module "push" {
  source = "../registry_push"

  repository_arn = var.registry_arn
}

# Of the state bucket it sees the sources alone: the states beside them are none of its business.
data "aws_iam_policy_document" "this" {
  source_policy_documents = [module.push.policy]

  statement {
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["arn:${data.aws_partition.this.partition}:s3:::${var.state_bucket}/${var.sources}/*"]
  }

  statement {
    actions   = ["s3:GetBucketAcl", "s3:GetBucketLocation"]
    resources = ["arn:${data.aws_partition.this.partition}:s3:::${var.state_bucket}"]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

resource "aws_iam_role_policy" "this" {
  name   = "build"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}
