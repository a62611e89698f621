locals {
  github          = var.github_repository != null
  connection_arn  = local.github ? try(aws_codestarconnections_connection.this[0].arn, var.connection_arn) : null
  repository_name = local.github ? var.github_repository : aws_codecommit_repository.this[0].repository_name

  source = local.github ? {
    provider = "CodeStarSourceConnection"
    configuration = tomap({
      ConnectionArn        = local.connection_arn
      FullRepositoryId     = var.github_repository
      BranchName           = var.branch
      OutputArtifactFormat = "CODE_ZIP"
      DetectChanges        = "true"
    })
    } : {
    provider = "CodeCommit"
    configuration = tomap({
      RepositoryName       = local.repository_name
      BranchName           = var.branch
      OutputArtifactFormat = "CODE_ZIP"
      # The event rule below starts the pipeline, within seconds of the push.
      PollForSourceChanges = "false"
    })
  }
}

resource "aws_codecommit_repository" "this" {
  count = local.github ? 0 : 1

  repository_name = var.name
  description     = "Source of ${var.name}: a push to ${var.branch} is a release"
}

# Waits for a handshake in the console before it can be used.
resource "aws_codestarconnections_connection" "this" {
  count = local.github && var.connection_arn == null ? 1 : 0

  name          = var.name
  provider_type = "GitHub"
}

resource "aws_cloudwatch_event_rule" "push" {
  count = local.github ? 0 : 1

  name        = "${var.name}-push"
  description = "A push to ${var.branch} of ${var.name}"
  state       = "ENABLED" # said, so that one that somebody disabled is enabled again

  event_pattern = jsonencode({
    source      = ["aws.codecommit"]
    detail-type = ["CodeCommit Repository State Change"]
    resources   = [aws_codecommit_repository.this[0].arn]
    detail = {
      event         = ["referenceCreated", "referenceUpdated"]
      referenceType = ["branch"]
      referenceName = [var.branch]
    }
  })
}

resource "aws_cloudwatch_event_target" "pipeline" {
  count = local.github ? 0 : 1

  rule      = aws_cloudwatch_event_rule.push[0].name
  target_id = "pipeline"
  arn       = aws_codepipeline.this.arn
  role_arn  = aws_iam_role.events[0].arn
}
