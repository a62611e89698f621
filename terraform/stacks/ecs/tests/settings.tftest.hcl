mock_provider "aws" {
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

variables {
  name         = "chatbot"
  region       = "us-east-1"
  ecr          = { repository_arn = "arn:aws:ecr:us-east-1:123456789012:repository/chatbot" }
  secret       = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:chatbot/hf-token-a" }
  hook_package = { path = "hook.zip", hash = "aGFzaA==" }
  image        = { uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/chatbot@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }

  network = {
    listener_stickiness_duration = 0
    load_balancer_arn_suffix     = "app/chatbot/1"
    load_balancer_dns_name       = "chatbot-1.us-east-1.elb.amazonaws.com"
    production_listener_arn      = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/chatbot/1/production"
    security_group_id            = "sg-1"
    subnet_ids                   = ["subnet-a", "subnet-b"]
    test_cidrs                   = ["0.0.0.0/0"]
    test_listener_arn            = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/chatbot/1/test"
    test_url                     = "http://localhost:8001"
    vpc_id                       = "vpc-0a"

    target_groups = {
      blue  = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/chatbot-blue/1", arn_suffix = "targetgroup/chatbot-blue/1", name = "chatbot-blue" }
      green = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/chatbot-green/2", arn_suffix = "targetgroup/chatbot-green/2", name = "chatbot-green" }
    }
  }
}

run "every_placeholder_of_both_documents_has_a_value" {
  assert {
    condition = setsubtract(
      [for found in regexall("<([A-Z][A-Z0-9_]*)>", "${file("../../../taskdef.json")}${file("../../../appspec.yaml")}") : found[0]],
      keys(output.ecs.placeholders),
    ) == toset(["IMAGE1_NAME", "TASK_DEFINITION"])
    error_message = "A placeholder has no value, or the pipeline's own two are missing."
  }
}

run "a_hook_that_could_not_reach_the_test_listener_is_refused" {
  command = plan

  variables {
    network = merge(var.network, { test_cidrs = ["203.0.113.0/24"] })
  }

  expect_failures = [var.hook]
}

run "the_settings_reach_the_placeholders" {
  variables {
    chatbot_backend          = "openai"
    chatbot_base_url         = "http://vllm:8000/v1"
    chatbot_max_tokens       = 256
    chatbot_model            = "a/model"
    chatbot_rate_per_minute  = 0
    chatbot_temperature      = 0.5
    chatbot_title            = "Ask me"
    chatbot_visitor_settings = ["model", "temperature"]
    cpu                      = 2048
    fargate_spot_weight      = 2
    fargate_weight           = 0
    memory                   = 4096
    stop_timeout             = 90
  }

  assert {
    condition = jsonencode({ for name, value in output.ecs.placeholders : name => value if startswith(name, "CHATBOT_") || contains(["CPU", "MEMORY", "STOP_TIMEOUT", "FARGATE_WEIGHT", "FARGATE_SPOT_WEIGHT"], name) }) == jsonencode({
      CHATBOT_BACKEND          = "openai"
      CHATBOT_BASE_URL         = "http://vllm:8000/v1"
      CHATBOT_DRAIN_SECONDS    = "85"
      CHATBOT_MAX_TOKENS       = "256"
      CHATBOT_MODEL            = "a/model"
      CHATBOT_RATE_PER_MINUTE  = "0"
      CHATBOT_SLOTS            = "2"
      CHATBOT_SYSTEM_PROMPT    = ""
      CHATBOT_TEMPERATURE      = "0.5"
      CHATBOT_TITLE            = "Ask me"
      CHATBOT_VISITOR_SETTINGS = "model,temperature"
      CPU                      = "2048"
      FARGATE_SPOT_WEIGHT      = "2"
      FARGATE_WEIGHT           = "0"
      MEMORY                   = "4096"
      STOP_TIMEOUT             = "90"
    })
    error_message = "A setting does not reach its placeholder."
  }
}

run "an_arm_image_runs_on_arm" {
  variables {
    image = { uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/chatbot@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", platform = "linux/arm64" }
  }

  assert {
    condition     = output.ecs.placeholders["CPU_ARCHITECTURE"] == "ARM64"
    error_message = "The task's processor is not the image's."
  }
}

run "the_hook_can_be_left_out" {
  command = plan

  variables {
    hook         = false
    hook_package = null
  }

  assert {
    condition     = startswith(output.ecs.placeholders["HOOKS"], "#")
    error_message = "A hook is left."
  }
}

run "a_hook_without_its_package_is_refused" {
  command = plan

  variables {
    hook_package = null
  }

  expect_failures = [var.hook_package]
}

run "wrong_numbers_are_refused" {
  command = plan

  variables {
    alarm_5xx_threshold       = 0
    alarm_evaluation_periods  = 0
    chatbot_max_tokens        = 0.5
    chatbot_rate_per_minute   = -1
    chatbot_temperature       = 2.1
    cpu_target                = 100
    desired_count             = 7
    fargate_spot_weight       = 1001
    health_check_grace_period = -1
    log_retention_days        = 2
    stop_timeout              = 1
    termination_wait_minutes  = 2881
  }

  expect_failures = [
    var.alarm_5xx_threshold, var.alarm_evaluation_periods, var.chatbot_max_tokens, var.chatbot_rate_per_minute, var.chatbot_temperature,
    var.cpu_target, var.desired_count, var.fargate_spot_weight, var.health_check_grace_period, var.log_retention_days,
    var.stop_timeout, var.termination_wait_minutes,
  ]
}

run "wrong_names_are_refused" {
  command = plan

  variables {
    chatbot_base_url         = "http://user:password@host/v1"
    chatbot_visitor_settings = ["everything"]
    custom_deployment_config = { type = "sudden", percentage = 100, interval_minutes = 0 }
    deployment_config        = "CodeDeployDefault.AllAtOnce"
    image                    = { uri = "chatbot:latest" }
    name                     = "-"
  }

  expect_failures = [
    var.chatbot_base_url, var.chatbot_visitor_settings, var.custom_deployment_config, var.deployment_config, var.image, var.name,
  ]
}

run "an_unknown_backend_is_refused" {
  command = plan

  variables {
    chatbot_backend = "magic"
  }

  expect_failures = [var.chatbot_backend]
}

run "a_backend_without_its_url_is_refused" {
  command = plan

  variables {
    chatbot_backend = "openai"
  }

  expect_failures = [var.chatbot_backend]
}

run "a_size_that_fargate_does_not_sell_is_refused" {
  command = plan

  variables {
    cpu = 300
  }

  expect_failures = [var.cpu]
}

run "a_memory_that_does_not_go_with_the_cpu_is_refused" {
  command = plan

  variables {
    cpu    = 2048
    memory = 1024
  }

  expect_failures = [var.memory]
}

run "weights_of_nothing_are_refused" {
  command = plan

  variables {
    fargate_weight = 0
  }

  expect_failures = [var.fargate_weight]
}

run "no_task_at_all_is_refused" {
  command = plan

  variables {
    min_capacity = 0
  }

  expect_failures = [var.min_capacity]
}

run "bounds_the_wrong_way_round_are_refused" {
  command = plan

  variables {
    max_capacity = 1
  }

  expect_failures = [var.max_capacity]
}
