data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  custom      = var.custom_deployment_config != null
  config_name = local.custom ? aws_codedeploy_deployment_config.this[0].deployment_config_name : var.deployment_config
  shifts      = local.custom || var.deployment_config != "CodeDeployDefault.ECSAllAtOnce"
}

resource "aws_codedeploy_app" "this" {
  name             = var.name
  compute_platform = "ECS"
}

# A configuration cannot be changed, only replaced: its content is in its name.
resource "aws_codedeploy_deployment_config" "this" {
  count = local.custom ? 1 : 0

  deployment_config_name = "${var.name}-${var.custom_deployment_config.type}-${var.custom_deployment_config.percentage}-percent-${var.custom_deployment_config.interval_minutes}-minutes"
  compute_platform       = "ECS"

  traffic_routing_config {
    type = var.custom_deployment_config.type == "canary" ? "TimeBasedCanary" : "TimeBasedLinear"

    dynamic "time_based_canary" {
      for_each = var.custom_deployment_config.type == "canary" ? [var.custom_deployment_config] : []

      content {
        percentage = time_based_canary.value.percentage
        interval   = time_based_canary.value.interval_minutes
      }
    }

    dynamic "time_based_linear" {
      for_each = var.custom_deployment_config.type == "linear" ? [var.custom_deployment_config] : []

      content {
        percentage = time_based_linear.value.percentage
        interval   = time_based_linear.value.interval_minutes
      }
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_codedeploy_deployment_group" "this" {
  app_name               = aws_codedeploy_app.this.name
  deployment_group_name  = var.name
  deployment_config_name = local.config_name
  service_role_arn       = aws_iam_role.codedeploy.arn

  deployment_style {
    deployment_type   = "BLUE_GREEN"
    deployment_option = "WITH_TRAFFIC_CONTROL"
  }

  ecs_service {
    cluster_name = var.cluster_name
    service_name = var.service_name
  }

  load_balancer_info {
    target_group_pair_info {
      prod_traffic_route {
        listener_arns = [var.production_listener_arn]
      }

      test_traffic_route {
        listener_arns = [var.test_listener_arn]
      }

      target_group {
        name = var.target_groups["blue"].name
      }

      target_group {
        name = var.target_groups["green"].name
      }
    }
  }

  blue_green_deployment_config {
    deployment_ready_option {
      action_on_timeout = "CONTINUE_DEPLOYMENT"
    }

    terminate_blue_instances_on_deployment_success {
      action                           = "TERMINATE"
      termination_wait_time_in_minutes = var.termination_wait_minutes
    }
  }

  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]
  }

  alarm_configuration {
    enabled = true
    alarms  = [for alarm in concat(values(aws_cloudwatch_metric_alarm.errors), values(aws_cloudwatch_metric_alarm.unhealthy)) : alarm.alarm_name]
  }

  depends_on = [aws_iam_role_policy_attachment.codedeploy]

  lifecycle {
    precondition {
      condition     = !local.shifts || var.listener_stickiness_duration > 0
      error_message = "A release that shifts step by step needs a listener_stickiness_duration (stack network): without it a Gradio session jumps between the colours."
    }

    precondition {
      condition     = var.listener_stickiness_duration <= var.termination_wait_minutes * 60
      error_message = "listener_stickiness_duration (stack network; now ${var.listener_stickiness_duration}) must be at most termination_wait_minutes in seconds (${var.termination_wait_minutes * 60}): with a longer one clients stick to a colour that is gone, and get 503. For releases that end blue at once, 0."
    }
  }
}
