# One role per actor: the pipeline, the build, and the event that starts the pipeline.
data "aws_iam_policy_document" "assume" {
  for_each = toset(["codebuild", "codepipeline", "events"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

data "aws_iam_policy_document" "artifacts_access" {
  statement {
    actions   = ["s3:GetBucketVersioning"]
    resources = [var.artifacts.bucket_arn]
  }

  statement {
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${var.artifacts.bucket_arn}/*"]
  }

  statement {
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = [var.artifacts.key_arn]
  }
}

# ---- the pipeline

resource "aws_iam_role" "pipeline" {
  name               = "${var.name}-pipeline-${data.aws_region.this.name}"
  assume_role_policy = data.aws_iam_policy_document.assume["codepipeline"].json
}

data "aws_iam_policy_document" "pipeline" {
  source_policy_documents = [data.aws_iam_policy_document.artifacts_access.json]

  dynamic "statement" {
    for_each = local.github ? [] : [aws_codecommit_repository.this[0].arn]

    content {
      actions = [
        "codecommit:CancelUploadArchive",
        "codecommit:GetBranch",
        "codecommit:GetCommit",
        "codecommit:GetUploadArchiveStatus",
        "codecommit:UploadArchive",
      ]
      resources = [statement.value]
    }
  }

  # The source action of a connection uploads with an ACL: "[GitHub] Upload to S3 failed" without (aws/aws-cdk#13557).
  dynamic "statement" {
    for_each = local.github ? [1] : []

    content {
      actions   = ["s3:PutObjectAcl"]
      resources = ["${var.artifacts.bucket_arn}/*"]
    }
  }

  # By its old and by its new name: AWS checks either, by the age of the connection.
  dynamic "statement" {
    for_each = local.github ? [local.connection_arn] : []

    content {
      actions   = ["codeconnections:UseConnection", "codestar-connections:UseConnection"]
      resources = [statement.value]
    }
  }

  statement {
    actions   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild"]
    resources = [aws_codebuild_project.this.arn]
  }

  statement {
    actions   = ["codedeploy:GetApplication", "codedeploy:GetApplicationRevision", "codedeploy:RegisterApplicationRevision"]
    resources = ["${local.arn_of.codedeploy}:application:${var.application_name}"]
  }

  statement {
    actions   = ["codedeploy:CreateDeployment", "codedeploy:GetDeployment"]
    resources = ["${local.arn_of.codedeploy}:deploymentgroup:${var.application_name}/${var.deployment_group_name}"]
  }

  statement {
    actions   = ["codedeploy:GetDeploymentConfig"]
    resources = ["${local.arn_of.codedeploy}:deploymentconfig:${var.deployment_config_name}"]
  }

  # It knows no resource.
  statement {
    actions   = ["ecs:RegisterTaskDefinition"]
    resources = ["*"]
  }

  statement {
    actions   = ["iam:PassRole"]
    resources = var.task_role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "pipeline" {
  name   = "pipeline"
  role   = aws_iam_role.pipeline.id
  policy = data.aws_iam_policy_document.pipeline.json
}

# ---- the build

resource "aws_iam_role" "build" {
  name               = "${var.name}-build-${data.aws_region.this.name}"
  assume_role_policy = data.aws_iam_policy_document.assume["codebuild"].json
}

module "push" {
  source = "../registry_push"

  repository_arn = var.registry_arn
}

data "aws_iam_policy_document" "build" {
  source_policy_documents = [data.aws_iam_policy_document.artifacts_access.json, module.push.policy]

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.build.arn}:*"]
  }
}

resource "aws_iam_role_policy" "build" {
  name   = "build"
  role   = aws_iam_role.build.id
  policy = data.aws_iam_policy_document.build.json
}

# ---- the event

resource "aws_iam_role" "events" {
  count = local.github ? 0 : 1

  name               = "${var.name}-events-${data.aws_region.this.name}"
  assume_role_policy = data.aws_iam_policy_document.assume["events"].json
}

data "aws_iam_policy_document" "events" {
  statement {
    actions   = ["codepipeline:StartPipelineExecution"]
    resources = ["${local.arn_of.codepipeline}:${var.name}"]
  }
}

resource "aws_iam_role_policy" "events" {
  count = local.github ? 0 : 1

  name   = "events"
  role   = aws_iam_role.events[0].id
  policy = data.aws_iam_policy_document.events.json
}
