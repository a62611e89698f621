mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

override_resource {
  target = aws_iam_role.execution
  values = { arn = "arn:aws:iam::123456789012:role/chatbot-execution" }
}

override_resource {
  target = aws_iam_role.task
  values = { arn = "arn:aws:iam::123456789012:role/chatbot-task" }
}

override_resource {
  target = aws_cloudwatch_log_group.this
  values = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/ecs/chatbot" }
}

variables {
  name                            = "chatbot"
  capacity_provider_weights       = { FARGATE = 1, FARGATE_SPOT = 3 }
  container_name                  = "chatbot"
  container_port                  = 7860
  cpu                             = 512
  cpu_architecture                = "X86_64"
  cpu_target                      = 60
  desired_count                   = 2
  environment                     = { CHATBOT_BACKEND = "auto", CHATBOT_BASE_URL = "", CHATBOT_DRAIN_SECONDS = "55", CHATBOT_MAX_TOKENS = "", CHATBOT_MODEL = "", CHATBOT_RATE_PER_MINUTE = "", CHATBOT_SLOTS = "1", CHATBOT_SYSTEM_PROMPT = "Say \"hi\",\n<CPU>.", CHATBOT_TEMPERATURE = "", CHATBOT_TITLE = "", CHATBOT_VISITOR_SETTINGS = "" }
  health_check_grace_period       = 60
  image                           = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/chatbot@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  load_balancer_security_group_id = "sg-load-balancer"
  log_retention_days              = 30
  max_capacity                    = 6
  memory                          = 1024
  min_capacity                    = 2
  repository_arn                  = "arn:aws:ecr:eu-west-1:123456789012:repository/chatbot"
  secret_arn                      = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chatbot/hf-token-a"
  stop_timeout                    = 60
  subnet_ids                      = ["subnet-a", "subnet-b"]
  target_group_arn                = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/chatbot-blue/1"
  task_definition_template        = file("../../../taskdef.json")
  vpc_id                          = "vpc-0a"
}

run "taskdef_json_is_the_task_definition" {
  assert {
    condition     = aws_ecs_task_definition.this.family == "chatbot" && aws_ecs_task_definition.this.cpu == "512" && aws_ecs_task_definition.this.memory == "1024"
    error_message = "Family and size are not those of the settings."
  }

  assert {
    condition     = aws_ecs_task_definition.this.network_mode == "awsvpc" && aws_ecs_task_definition.this.requires_compatibilities == toset(["FARGATE"]) && aws_ecs_task_definition.this.runtime_platform[0].cpu_architecture == "X86_64"
    error_message = "It is not a task definition for Fargate."
  }

  assert {
    condition     = aws_ecs_task_definition.this.execution_role_arn == aws_iam_role.execution.arn && aws_ecs_task_definition.this.task_role_arn == aws_iam_role.task.arn
    error_message = "The roles are mixed up."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].image == var.image && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].portMappings[0].containerPort == 7860
    error_message = "Image or port are not the given ones."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].logConfiguration.options == { awslogs-group = "/ecs/chatbot", awslogs-region = "eu-west-1", awslogs-stream-prefix = "task" }
    error_message = "The log goes elsewhere."
  }

  assert {
    condition     = aws_ecs_task_definition.this.skip_destroy
    error_message = "A change of a setting would deregister the revision that is running."
  }
}

run "a_value_with_quotes_newlines_and_brackets_arrives_as_it_is" {
  assert {
    condition     = one([for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : variable.value if variable.name == "CHATBOT_SYSTEM_PROMPT"]) == "Say \"hi\",\n<CPU>."
    error_message = "The system prompt was changed on its way into the task definition."
  }

  assert {
    condition     = output.placeholders["CHATBOT_SYSTEM_PROMPT"] == "Say \"hi\",\n<CPU>."
    error_message = "The placeholders are not plain values: orchestrator.documents would escape them twice."
  }
}

run "releases_get_every_placeholder_but_the_image" {
  assert {
    condition     = setsubtract([for found in regexall("<([A-Z][A-Z0-9_]*)>", var.task_definition_template) : found[0]], keys(output.placeholders)) == toset(["IMAGE1_NAME"])
    error_message = "A placeholder of taskdef.json is not handed to the pipeline."
  }
}

run "the_token_comes_by_reference" {
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [{ name = "HF_TOKEN", valueFrom = var.secret_arn }]
    error_message = "The task does not read the token from its secret."
  }
}

run "codedeploy_controls_the_service" {
  assert {
    condition     = one(aws_ecs_service.this.deployment_controller).type == "CODE_DEPLOY" && aws_ecs_service.this.wait_for_steady_state != true
    error_message = "The service is not under CodeDeploy, or waits for deployments that it never has."
  }

  assert {
    condition     = { for item in aws_ecs_service.this.capacity_provider_strategy : item.capacity_provider => item.weight } == { FARGATE = 1, FARGATE_SPOT = 3 }
    error_message = "The weights are not used."
  }

  assert {
    condition     = output.placeholders["FARGATE_WEIGHT"] == "1" && output.placeholders["FARGATE_SPOT_WEIGHT"] == "3"
    error_message = "A release would fall back to other weights."
  }
}

# Terraform creates, CodeDeploy moves: the run before made the service, this one changes all that releases own.
run "an_existing_service_keeps_what_releases_and_autoscaling_moved" {
  variables {
    capacity_provider_weights = { FARGATE = 1, FARGATE_SPOT = 0 }
    desired_count             = 5
    target_group_arn          = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/chatbot-green/2"
  }

  assert {
    condition     = aws_ecs_service.this.desired_count == 2
    error_message = "Terraform would take the count back from autoscaling."
  }

  assert {
    condition     = endswith(one(aws_ecs_service.this.load_balancer).target_group_arn, "chatbot-blue/1")
    error_message = "Terraform would take the target group back from CodeDeploy."
  }

  assert {
    condition     = { for item in aws_ecs_service.this.capacity_provider_strategy : item.capacity_provider => item.weight } == { FARGATE = 1, FARGATE_SPOT = 3 }
    error_message = "Terraform would replace the service for a change of weights."
  }
}

run "only_the_load_balancer_may_call_a_task" {
  assert {
    condition     = aws_vpc_security_group_ingress_rule.load_balancer.referenced_security_group_id == "sg-load-balancer" && aws_vpc_security_group_ingress_rule.load_balancer.from_port == 7860 && aws_vpc_security_group_ingress_rule.load_balancer.to_port == 7860 && aws_vpc_security_group_ingress_rule.load_balancer.cidr_ipv4 == null
    error_message = "Tasks are open to others."
  }

  assert {
    condition     = one(aws_ecs_service.this.network_configuration).assign_public_ip && one(aws_ecs_service.this.network_configuration).security_groups == toset([aws_security_group.this.id])
    error_message = "Tasks cannot reach the registry, or stand in another security group."
  }
}

run "the_execution_role_can_do_its_work_and_no_more" {
  assert {
    condition = jsonencode({ for statement in data.aws_iam_policy_document.execution.statement : join(" ", sort(statement.actions)) => sort(statement.resources) }) == jsonencode({
      "ecr:GetAuthorizationToken"                                                    = ["*"]
      "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer" = [var.repository_arn]
      "logs:CreateLogStream logs:PutLogEvents"                                       = ["${aws_cloudwatch_log_group.this.arn}:*"]
      "secretsmanager:GetSecretValue"                                                = [var.secret_arn]
    })
    error_message = "The execution role's permissions are not the four that it needs."
  }
}

run "autoscaling_stays_within_its_bounds" {
  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 2 && aws_appautoscaling_target.this.max_capacity == 6 && aws_appautoscaling_target.this.resource_id == "service/chatbot/chatbot"
    error_message = "Autoscaling is not bound to the service and the settings."
  }

  assert {
    condition     = aws_appautoscaling_policy.cpu.target_tracking_scaling_policy_configuration[0].target_value == 60
    error_message = "cpu_target is not used."
  }
}

run "logs_are_kept_as_long_as_the_settings_say" {
  variables {
    log_retention_days = 90
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 90
    error_message = "log_retention_days is not used."
  }
}

run "a_placeholder_without_a_value_is_refused" {
  command = plan

  variables {
    task_definition_template = "{\"family\": \"<FAMILY>\", \"cpu\": \"<CPUS>\"}"
  }

  expect_failures = [aws_ecs_task_definition.this]
}

run "a_task_definition_that_is_no_json_is_refused" {
  command = plan

  variables {
    task_definition_template = "{\"family\": \"<FAMILY>\",}"
  }

  expect_failures = [aws_ecs_task_definition.this]
}

run "a_key_that_would_be_lost_is_refused" {
  command = plan

  variables {
    task_definition_template = "{\"family\": \"<FAMILY>\", \"containerDefinitions\": [], \"volumes\": []}"
  }

  expect_failures = [aws_ecs_task_definition.this]
}

run "an_image_by_tag_is_refused" {
  command = plan

  variables {
    image = "chatbot:latest"
  }

  expect_failures = [var.image]
}

run "other_capacity_providers_are_refused" {
  command = plan

  variables {
    capacity_provider_weights = { EC2 = 1 }
  }

  expect_failures = [var.capacity_provider_weights]
}

run "weights_of_nothing_are_refused" {
  command = plan

  variables {
    capacity_provider_weights = { FARGATE = 0, FARGATE_SPOT = 0 }
  }

  expect_failures = [var.capacity_provider_weights]
}

run "a_count_out_of_its_bounds_is_refused" {
  command = plan

  variables {
    desired_count = 7
  }

  expect_failures = [var.desired_count]
}

run "wrong_numbers_are_refused" {
  command = plan

  variables {
    container_port   = 0
    cpu_architecture = "MIPS"
    desired_count    = 0
    min_capacity     = 0
    stop_timeout     = 121
  }

  expect_failures = [var.container_port, var.cpu_architecture, var.min_capacity, var.stop_timeout]
}

run "a_setting_that_cannot_be_a_placeholder_is_refused" {
  command = plan

  variables {
    environment = { chatbot-model = "x" }
  }

  expect_failures = [var.environment]
}
