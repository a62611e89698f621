# Somebody else's pipelines: the shape of a public blue/green stack (connection, CodeBuild, CodeDeploy on ECS behind a NAT),
# and that of cloudposse's ecs-codepipeline (V1, policies attached one by one, rolling deploy), with what people add to
# them: a Lambda that is invoked, an approval by SNS, CodeCommit with its rule. Written as their READMEs show.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "http_port" {
  type = number
}

provider "aws" {
  region            = "us-east-1"
  s3_use_path_style = true

  default_tags {
    tags = { Project = "shop", ManagedBy = "terraform" }
  }
}

locals {
  name = "shop"
  tags = { Team = "web" }
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

data "aws_availability_zones" "available" {
  state = "available"
}

# --- network: private subnets behind one NAT

resource "aws_vpc" "this" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = local.name })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "public" {
  for_each          = { a = 0, b = 1 }
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(aws_vpc.this.cidr_block, 8, each.value)
  availability_zone = data.aws_availability_zones.available.names[each.value]
}

resource "aws_subnet" "private" {
  for_each          = { a = 0, b = 1 }
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(aws_vpc.this.cidr_block, 8, each.value + 10)
  availability_zone = data.aws_availability_zones.available.names[each.value]
}

resource "aws_eip" "nat" {
  domain = "vpc"
}

resource "aws_nat_gateway" "this" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public["a"].id
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.this.id
  }
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}

resource "aws_security_group" "lb" {
  name   = "${local.name}-lb"
  vpc_id = aws_vpc.this.id

  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "service" {
  name   = "${local.name}-service"
  vpc_id = aws_vpc.this.id

  ingress {
    from_port       = 3000
    to_port         = 3000
    protocol        = "tcp"
    security_groups = [aws_security_group.lb.id]
  }
}

# --- load balancer with a pair of target groups

resource "aws_lb" "this" {
  name            = local.name
  subnets         = [for subnet in aws_subnet.public : subnet.id]
  security_groups = [aws_security_group.lb.id]
}

resource "aws_lb_target_group" "pair" {
  count       = 2
  name        = "${local.name}-${count.index}"
  port        = 3000
  protocol    = "HTTP"
  target_type = "ip"
  vpc_id      = aws_vpc.this.id

  health_check {
    path    = "/health"
    matcher = "200-299"
  }
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = var.http_port
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.pair[0].arn
  }

  lifecycle {
    ignore_changes = [default_action]
  }
}

# --- service that CodeDeploy owns

resource "aws_ecs_cluster" "this" {
  name = local.name
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
    base              = 1
  }
}

resource "aws_cloudwatch_log_group" "service" {
  name              = "/ecs/${local.name}"
  retention_in_days = 7
}

data "aws_iam_policy_document" "assume" {
  for_each = toset(["codebuild", "codedeploy", "codepipeline", "ecs-tasks", "events", "lambda"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each           = data.aws_iam_policy_document.assume
  name               = "${local.name}-${each.key}"
  assume_role_policy = each.value.json
}

resource "aws_iam_role_policy_attachment" "managed" {
  for_each = {
    codedeploy = "arn:aws:iam::aws:policy/AWSCodeDeployRoleForECS"
    ecs-tasks  = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    lambda     = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
  }
  role       = aws_iam_role.this[each.key].name
  policy_arn = each.value
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.this["ecs-tasks"].arn

  container_definitions = jsonencode([{
    name         = "web"
    image        = "public.ecr.aws/docker/library/nginx:stable"
    essential    = true
    portMappings = [{ containerPort = 3000 }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.service.name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "web"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                              = local.name
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.this.arn
  desired_count                     = 0
  launch_type                       = "FARGATE"
  health_check_grace_period_seconds = 60
  propagate_tags                    = "SERVICE"

  deployment_controller {
    type = "CODE_DEPLOY"
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.pair[0].arn
    container_name   = "web"
    container_port   = 3000
  }

  network_configuration {
    subnets         = [for subnet in aws_subnet.private : subnet.id]
    security_groups = [aws_security_group.service.id]
  }

  lifecycle {
    ignore_changes = [task_definition, load_balancer, desired_count]
  }

  depends_on = [aws_lb_listener.this]
}

resource "aws_codedeploy_app" "this" {
  compute_platform = "ECS"
  name             = local.name
  tags             = local.tags
}

resource "aws_codedeploy_deployment_config" "slow" {
  deployment_config_name = "${local.name}-slow"
  compute_platform       = "ECS"

  traffic_routing_config {
    type = "TimeBasedLinear"

    time_based_linear {
      interval   = 10
      percentage = 10
    }
  }
}

resource "aws_codedeploy_deployment_group" "this" {
  app_name               = aws_codedeploy_app.this.name
  deployment_group_name  = local.name
  deployment_config_name = aws_codedeploy_deployment_config.slow.id
  service_role_arn       = aws_iam_role.this["codedeploy"].arn

  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]
  }

  blue_green_deployment_config {
    deployment_ready_option {
      action_on_timeout    = "STOP_DEPLOYMENT"
      wait_time_in_minutes = 30
    }

    terminate_blue_instances_on_deployment_success {
      action                           = "TERMINATE"
      termination_wait_time_in_minutes = 60
    }
  }

  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }

  ecs_service {
    cluster_name = aws_ecs_cluster.this.name
    service_name = aws_ecs_service.this.name
  }

  load_balancer_info {
    target_group_pair_info {
      prod_traffic_route {
        listener_arns = [aws_lb_listener.this.arn]
      }

      dynamic "target_group" {
        for_each = aws_lb_target_group.pair

        content {
          name = target_group.value.name
        }
      }
    }
  }

  trigger_configuration {
    trigger_name       = "failures"
    trigger_events     = ["DeploymentFailure", "DeploymentRollback"]
    trigger_target_arn = aws_sns_topic.reviewers.arn
  }
}

# --- what both pipelines share

resource "aws_s3_bucket" "artifacts" {
  bucket        = "${local.name}-artifacts-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_s3_bucket_ownership_controls" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_codestarconnections_connection" "github" {
  name          = "${local.name}-github"
  provider_type = "GitHub"
}

resource "aws_codeconnections_connection" "gitlab" {
  name          = "${local.name}-gitlab"
  provider_type = "GitLab"
  tags          = local.tags
}

resource "aws_ecr_repository" "this" {
  name         = local.name
  force_delete = true
}

resource "aws_sns_topic" "reviewers" {
  name = "${local.name}-reviewers"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.reviewers.arn
  protocol  = "sqs"
  endpoint  = aws_sqs_queue.reviewers.arn
}

resource "aws_sqs_queue" "reviewers" {
  name = "${local.name}-reviewers"
}

resource "aws_ssm_parameter" "token" {
  name  = "/${local.name}/token"
  type  = "SecureString"
  value = "secret"
}

resource "aws_iam_role_policy" "build" {
  role = aws_iam_role.this["codebuild"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "ssm:GetParameters", Resource = aws_ssm_parameter.token.arn },
      { Effect = "Allow", Action = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], Resource = "*" },
      { Effect = "Allow", Action = "s3:*", Resource = "${aws_s3_bucket.artifacts.arn}/*" },
      { Effect = "Allow", Action = "codestar-connections:UseConnection", Resource = aws_codestarconnections_connection.github.arn },
    ]
  })
}

resource "aws_codebuild_project" "this" {
  name           = local.name
  description    = "Image of ${local.name}"
  build_timeout  = 15
  queued_timeout = 60
  service_role   = aws_iam_role.this["codebuild"].arn
  tags           = local.tags

  artifacts {
    type = "CODEPIPELINE"
  }

  cache {
    type  = "LOCAL"
    modes = ["LOCAL_DOCKER_LAYER_CACHE", "LOCAL_SOURCE_CACHE"]
  }

  environment {
    compute_type                = "BUILD_GENERAL1_SMALL"
    image                       = "aws/codebuild/standard:7.0"
    type                        = "LINUX_CONTAINER"
    image_pull_credentials_type = "CODEBUILD"
    privileged_mode             = true

    environment_variable {
      name  = "IMAGE_REPO_NAME"
      value = aws_ecr_repository.this.name
    }

    environment_variable {
      name  = "TOKEN"
      value = aws_ssm_parameter.token.name
      type  = "PARAMETER_STORE"
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name  = "codebuild"
      stream_name = local.name
    }

    s3_logs {
      status = "DISABLED"
    }
  }

  source {
    type      = "CODEPIPELINE"
    buildspec = <<-YAML
      version: 0.2
      phases:
        build:
          commands: [echo built]
      artifacts:
        files: ['**/*']
    YAML
  }
}

data "aws_iam_policy_document" "pipeline" {
  statement {
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetBucketVersioning", "s3:PutObject"]
    resources = [aws_s3_bucket.artifacts.arn, "${aws_s3_bucket.artifacts.arn}/*"]
  }

  statement {
    actions   = ["codebuild:*", "codedeploy:*", "ecs:*", "iam:PassRole", "lambda:InvokeFunction", "sns:Publish"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "connection" {
  statement {
    actions   = ["codestar-connections:UseConnection"]
    resources = [aws_codestarconnections_connection.github.arn]

    condition {
      test     = "StringLike"
      variable = "codestar-connections:FullRepositoryId"
      values   = ["acme/shop"]
    }
  }
}

resource "aws_iam_policy" "pipeline" {
  for_each = { default = data.aws_iam_policy_document.pipeline.json, codestar = data.aws_iam_policy_document.connection.json }
  name     = "${local.name}-codepipeline-${each.key}"
  policy   = each.value
}

resource "aws_iam_role_policy_attachment" "pipeline" {
  for_each   = aws_iam_policy.pipeline
  role       = aws_iam_role.this["codepipeline"].id
  policy_arn = each.value.arn
}

# --- V2: triggers, variables, blue/green

resource "aws_codepipeline" "bluegreen" {
  name           = "${local.name}-bluegreen"
  role_arn       = aws_iam_role.this["codepipeline"].arn
  pipeline_type  = "V2"
  execution_mode = "PARALLEL"

  artifact_store {
    location = aws_s3_bucket.artifacts.bucket
    type     = "S3"
  }

  variable {
    name          = "STAGE"
    default_value = "prod"
    description   = "Where it goes"
  }

  trigger {
    provider_type = "CodeStarSourceConnection"

    git_configuration {
      source_action_name = "Source"

      push {
        branches {
          includes = ["main", "release/**"]
          excludes = ["wip/*"]
        }

        file_paths {
          includes = ["src/**"]
        }
      }

      push {
        tags {
          includes = ["v*"]
        }
      }

      pull_request {
        events = ["OPEN", "UPDATED"]

        branches {
          includes = ["main"]
        }
      }
    }
  }

  stage {
    name = "Source"

    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = "CodeStarSourceConnection"
      version          = "1"
      namespace        = "SourceVariables"
      output_artifacts = ["source_output"]

      configuration = {
        ConnectionArn        = aws_codestarconnections_connection.github.arn
        FullRepositoryId     = "acme/shop"
        BranchName           = "main"
        DetectChanges        = "false"
        OutputArtifactFormat = "CODEBUILD_CLONE_REF"
      }
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
      input_artifacts  = ["source_output"]
      output_artifacts = ["build_output"]

      configuration = {
        ProjectName          = aws_codebuild_project.this.name
        EnvironmentVariables = jsonencode([{ name = "COMMIT", value = "#{SourceVariables.CommitId}", type = "PLAINTEXT" }])
      }
    }
  }

  stage {
    name = "Deploy"

    on_failure {
      result = "ROLLBACK"
    }

    action {
      name            = "Deploy"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "CodeDeployToECS"
      version         = "1"
      input_artifacts = ["build_output"]

      configuration = {
        ApplicationName                = aws_codedeploy_app.this.name
        DeploymentGroupName            = aws_codedeploy_deployment_group.this.deployment_group_name
        TaskDefinitionTemplateArtifact = "build_output"
        TaskDefinitionTemplatePath     = "taskdef.json"
        AppSpecTemplateArtifact        = "build_output"
        AppSpecTemplatePath            = "appspec.yaml"
      }
    }
  }

  depends_on = [aws_iam_role_policy_attachment.pipeline]
}

# --- V1, as cloudposse's module makes it for a connection; and what people add

resource "aws_lambda_function" "notify" {
  function_name    = "${local.name}-notify"
  filename         = "notify.zip"
  source_code_hash = filebase64sha256("notify.zip")
  handler          = "notify.handler"
  runtime          = "python3.12"
  role             = aws_iam_role.this["lambda"].arn
}

resource "aws_codepipeline" "rolling" {
  name     = "${local.name}-rolling"
  role_arn = aws_iam_role.this["codepipeline"].arn
  tags     = local.tags

  artifact_store {
    location = aws_s3_bucket.artifacts.bucket
    type     = "S3"
  }

  stage {
    name = "Source"

    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = "CodeStarSourceConnection"
      version          = "1"
      output_artifacts = ["code"]

      configuration = {
        ConnectionArn        = aws_codestarconnections_connection.github.arn
        FullRepositoryId     = "acme/shop"
        BranchName           = "master"
        OutputArtifactFormat = "CODE_ZIP"
      }
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
      input_artifacts  = ["code"]
      output_artifacts = ["task"]

      configuration = {
        ProjectName = aws_codebuild_project.this.name
      }
    }
  }

  stage {
    name = "Approve"

    action {
      name      = "Review"
      category  = "Approval"
      owner     = "AWS"
      provider  = "Manual"
      version   = "1"
      run_order = 1

      configuration = {
        NotificationArn    = aws_sns_topic.reviewers.arn
        CustomData         = "Look at the page before it goes out"
        ExternalEntityLink = "https://shop.example.com"
      }
    }

    action {
      name      = "Notify"
      category  = "Invoke"
      owner     = "AWS"
      provider  = "Lambda"
      version   = "1"
      run_order = 2

      configuration = {
        FunctionName   = aws_lambda_function.notify.function_name
        UserParameters = jsonencode({ channel = "releases" })
      }
    }
  }

  stage {
    name = "Deploy"

    action {
      name            = "Deploy"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "ECS"
      version         = "1"
      input_artifacts = ["task"]

      configuration = {
        ClusterName = aws_ecs_cluster.this.name
        ServiceName = aws_ecs_service.this.name
      }
    }
  }

  depends_on = [aws_iam_role_policy_attachment.pipeline]
}

# --- V2 without a trigger of its own: AWS adds one

resource "aws_codepipeline" "pages" {
  name          = "${local.name}-pages"
  role_arn      = aws_iam_role.this["codepipeline"].arn
  pipeline_type = "V2"

  artifact_store {
    location = aws_s3_bucket.artifacts.bucket
    type     = "S3"
  }

  stage {
    name = "Source"

    action {
      name             = "Pages"
      category         = "Source"
      owner            = "AWS"
      provider         = "CodeStarSourceConnection"
      version          = "1"
      output_artifacts = ["pages"]

      configuration = {
        ConnectionArn    = aws_codeconnections_connection.gitlab.arn
        FullRepositoryId = "acme/pages"
        BranchName       = "main"
      }
    }
  }

  stage {
    name = "Deploy"

    action {
      name            = "Deploy"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "S3"
      version         = "1"
      input_artifacts = ["pages"]

      configuration = {
        BucketName = aws_s3_bucket.artifacts.bucket
        Extract    = "true"
      }
    }
  }
}

# --- CodeCommit with the rule that starts a pipeline

resource "aws_codecommit_repository" "this" {
  repository_name = local.name
  default_branch  = "main"
}

resource "aws_cloudwatch_event_rule" "push" {
  name = "${local.name}-push"

  event_pattern = jsonencode({
    source      = ["aws.codecommit"]
    detail-type = ["CodeCommit Repository State Change"]
    resources   = [aws_codecommit_repository.this.arn]
    detail      = { event = ["referenceCreated", "referenceUpdated"], referenceType = ["branch"], referenceName = ["main"] }
  })
}

resource "aws_cloudwatch_event_target" "pipeline" {
  rule     = aws_cloudwatch_event_rule.push.name
  arn      = aws_codepipeline.rolling.arn
  role_arn = aws_iam_role.this["events"].arn
}

resource "aws_cloudwatch_event_rule" "failed" {
  name          = "${local.name}-failed"
  event_pattern = jsonencode({ source = ["aws.codepipeline"], detail-type = ["CodePipeline Pipeline Execution State Change"], detail = { state = ["FAILED"] } })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule      = aws_cloudwatch_event_rule.failed.name
  target_id = "reviewers"
  arn       = aws_sns_topic.reviewers.arn

  input_transformer {
    input_paths    = { pipeline = "$.detail.pipeline" }
    input_template = "\"The pipeline <pipeline> has failed.\""
  }
}
