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
}

override_resource {
  target = aws_cloudwatch_log_group.hook["this"]
  values = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/chatbot-hook" }
}

variables {
  name                         = "chatbot"
  alarm_5xx_threshold          = 5
  alarm_evaluation_periods     = 1
  cluster_name                 = "chatbot"
  deployment_config            = "CodeDeployDefault.ECSAllAtOnce"
  listener_stickiness_duration = 0
  load_balancer_arn_suffix     = "app/chatbot/1"
  log_retention_days           = 30
  production_listener_arn      = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/chatbot/1/production"
  service_name                 = "chatbot"
  termination_wait_minutes     = 5
  test_listener_arn            = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/chatbot/1/test"

  target_groups = {
    blue  = { arn_suffix = "targetgroup/chatbot-blue/1", name = "chatbot-blue" }
    green = { arn_suffix = "targetgroup/chatbot-green/2", name = "chatbot-green" }
  }
}

run "a_release_moves_one_listener_between_two_colours" {
  assert {
    condition     = one(aws_codedeploy_deployment_group.this.load_balancer_info[0].target_group_pair_info[0].prod_traffic_route[0].listener_arns) == var.production_listener_arn
    error_message = "CodeDeploy takes exactly one production listener."
  }

  assert {
    condition     = one(aws_codedeploy_deployment_group.this.load_balancer_info[0].target_group_pair_info[0].test_traffic_route[0].listener_arns) == var.test_listener_arn
    error_message = "Green cannot be seen before the shift."
  }

  assert {
    condition     = [for group in aws_codedeploy_deployment_group.this.load_balancer_info[0].target_group_pair_info[0].target_group : group.name] == ["chatbot-blue", "chatbot-green"]
    error_message = "The target groups are not blue and green."
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this.deployment_style[0].deployment_type == "BLUE_GREEN" && aws_codedeploy_deployment_group.this.deployment_style[0].deployment_option == "WITH_TRAFFIC_CONTROL" && aws_codedeploy_app.this.compute_platform == "ECS"
    error_message = "It is not a blue/green release on ECS."
  }

  assert {
    condition     = output.deployment_config_name == "CodeDeployDefault.ECSAllAtOnce" && length(aws_codedeploy_deployment_config.this) == 0
    error_message = "The default is not all at once."
  }
}

run "blue_stays_as_long_as_the_setting_says" {
  variables {
    termination_wait_minutes = 12
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this.blue_green_deployment_config[0].terminate_blue_instances_on_deployment_success[0].termination_wait_time_in_minutes == 12
    error_message = "termination_wait_minutes is not used."
  }
}

run "every_alarm_stops_a_release_and_rolls_it_back" {
  assert {
    condition     = aws_codedeploy_deployment_group.this.alarm_configuration[0].enabled && toset(aws_codedeploy_deployment_group.this.alarm_configuration[0].alarms) == toset(["chatbot-blue-5xx", "chatbot-green-5xx", "chatbot-blue-unhealthy", "chatbot-green-unhealthy"])
    error_message = "An alarm is not wired to the deployment group."
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this.auto_rollback_configuration[0].enabled && toset(aws_codedeploy_deployment_group.this.auto_rollback_configuration[0].events) == toset(["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"])
    error_message = "A failed release is not rolled back."
  }
}

run "each_colour_is_watched_for_itself" {
  variables {
    alarm_5xx_threshold      = 9
    alarm_evaluation_periods = 2
  }

  assert {
    condition     = alltrue([for alarms in [aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.unhealthy] : alltrue([for colour, alarm in alarms : alarm.dimensions["TargetGroup"] == var.target_groups[colour].arn_suffix && alarm.dimensions["LoadBalancer"] == "app/chatbot/1" && alarm.evaluation_periods == 2 && alarm.treat_missing_data == "notBreaching"])])
    error_message = "An alarm watches the wrong target group, or rings when there is no traffic."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.errors : alarm.metric_name == "HTTPCode_Target_5XX_Count" && alarm.threshold == 9])
    error_message = "alarm_5xx_threshold is not used."
  }
}

run "a_canary_of_ones_own" {
  variables {
    custom_deployment_config     = { type = "canary", percentage = 25, interval_minutes = 2 }
    listener_stickiness_duration = 300
  }

  assert {
    condition     = aws_codedeploy_deployment_config.this[0].traffic_routing_config[0].type == "TimeBasedCanary" && aws_codedeploy_deployment_config.this[0].traffic_routing_config[0].time_based_canary[0].percentage == 25 && aws_codedeploy_deployment_config.this[0].traffic_routing_config[0].time_based_canary[0].interval == 2
    error_message = "It is not the canary of the setting."
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this.deployment_config_name == "chatbot-canary-25-percent-2-minutes"
    error_message = "The deployment group does not use it, or its name does not say what it is."
  }
}

run "a_linear_shift_of_ones_own" {
  variables {
    custom_deployment_config     = { type = "linear", percentage = 20, interval_minutes = 1 }
    listener_stickiness_duration = 300
  }

  assert {
    condition     = aws_codedeploy_deployment_config.this[0].traffic_routing_config[0].type == "TimeBasedLinear" && aws_codedeploy_deployment_config.this[0].traffic_routing_config[0].time_based_linear[0].percentage == 20 && length(aws_codedeploy_deployment_config.this[0].traffic_routing_config[0].time_based_canary) == 0
    error_message = "It is not the linear shift of the setting."
  }
}

run "a_predefined_canary_needs_no_configuration_of_ones_own" {
  variables {
    deployment_config            = "CodeDeployDefault.ECSCanary10Percent5Minutes"
    listener_stickiness_duration = 60
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this.deployment_config_name == "CodeDeployDefault.ECSCanary10Percent5Minutes" && length(aws_codedeploy_deployment_config.this) == 0
    error_message = "deployment_config is not used."
  }
}

run "a_step_by_step_shift_without_sticky_colours_is_refused" {
  command = plan

  variables {
    deployment_config = "CodeDeployDefault.ECSLinear10PercentEvery1Minutes"
  }

  expect_failures = [aws_codedeploy_deployment_group.this]
}

run "colours_that_stick_longer_than_blue_lives_are_refused" {
  command = plan

  variables {
    listener_stickiness_duration = 301
  }

  expect_failures = [aws_codedeploy_deployment_group.this]
}

run "without_a_package_there_is_no_hook" {
  assert {
    condition     = length(aws_lambda_function.hook) + length(aws_iam_role.hook) + length(aws_cloudwatch_log_group.hook) == 0 && startswith(output.placeholders["HOOKS"], "#")
    error_message = "Something is left of the hook."
  }
}

run "the_hook_runs_after_test_traffic_and_may_only_report" {
  variables {
    hook = { package_hash = "aGFzaA==", package_path = "hook.zip", test_address = "localhost", test_url = "http://localhost:8001" }
  }

  assert {
    condition     = yamldecode(output.placeholders["HOOKS"]).Hooks == [{ AfterAllowTestTraffic = "chatbot-hook" }]
    error_message = "appspec.yaml does not name the function at AfterAllowTestTraffic."
  }

  assert {
    condition     = aws_lambda_function.hook["this"].environment[0].variables["TEST_URL"] == "http://localhost:8001" && aws_lambda_function.hook["this"].source_code_hash == "aGFzaA==" && aws_lambda_function.hook["this"].handler == "hook.handler"
    error_message = "The function is not the one of the package, or does not know the test listener."
  }

  assert {
    condition = jsonencode({ for statement in data.aws_iam_policy_document.hook["this"].statement : join(" ", sort(statement.actions)) => statement.resources }) == jsonencode({
      "codedeploy:PutLifecycleEventHookExecutionStatus" = ["arn:aws:codedeploy:eu-west-1:123456789012:deploymentgroup:chatbot/chatbot"]
      "logs:CreateLogStream logs:PutLogEvents"          = ["${aws_cloudwatch_log_group.hook["this"].arn}:*"]
    })
    error_message = "The hook may do more than report and log."
  }
}

run "codedeploy_has_the_managed_role_for_ecs" {
  assert {
    condition     = aws_iam_role_policy_attachment.codedeploy.policy_arn == "arn:aws:iam::aws:policy/AWSCodeDeployRoleForECS"
    error_message = "CodeDeploy's role is not the managed one."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    alarm_5xx_threshold      = 0
    custom_deployment_config = { type = "sudden", percentage = 10, interval_minutes = 1 }
    deployment_config        = "mine"
    target_groups            = { blue = { arn_suffix = "a", name = "a" } }
    termination_wait_minutes = 2881
  }

  expect_failures = [
    var.alarm_5xx_threshold, var.custom_deployment_config, var.deployment_config, var.target_groups,
    var.termination_wait_minutes,
  ]
}
