locals {
  placeholders = merge(var.environment, {
    CONTAINER_NAME      = var.container_name
    CONTAINER_PORT      = tostring(var.container_port)
    CPU                 = tostring(var.cpu)
    CPU_ARCHITECTURE    = var.cpu_architecture
    EXECUTION_ROLE_ARN  = aws_iam_role.execution.arn
    FAMILY              = var.name
    FARGATE_SPOT_WEIGHT = tostring(lookup(var.capacity_provider_weights, "FARGATE_SPOT", 0))
    FARGATE_WEIGHT      = tostring(lookup(var.capacity_provider_weights, "FARGATE", 0))
    LOG_GROUP           = aws_cloudwatch_log_group.this.name
    MEMORY              = tostring(var.memory)
    REGION              = data.aws_region.this.name
    SECRET_ARN          = var.secret_arn
    STOP_TIMEOUT        = tostring(var.stop_timeout)
    TASK_ROLE_ARN       = aws_iam_role.task.arn
  })

  # A value goes in as the inside of a JSON string: quotes and newlines of a system prompt are escaped, and a "<" too
  # (as \u003c), so no value looks like a placeholder. orchestrator/documents.py does the same for releases.
  replacements = {
    for name, value in merge(local.placeholders, { IMAGE1_NAME = var.image }) :
    "<${name}>" => trimsuffix(trimprefix(jsonencode(value), "\""), "\"")
  }

  # Cut into placeholders and what lies between, then replace each piece at most once.
  placeholder = "<[A-Z][A-Z0-9_]*>"
  rendered    = join("", [for piece in regexall("${local.placeholder}|[^<]+|<", var.task_definition_template) : lookup(local.replacements, piece, piece)])
  leftover    = distinct(regexall(local.placeholder, local.rendered))

  task_definition = try(jsondecode(local.rendered), null)

  # The keys that the resource below hands on; another one would be lost without a word.
  known_keys = [
    "containerDefinitions", "cpu", "executionRoleArn", "family", "memory", "networkMode", "requiresCompatibilities",
    "runtimePlatform", "taskRoleArn",
  ]
}

resource "aws_ecs_task_definition" "this" {
  family                   = try(local.task_definition.family, var.name)
  requires_compatibilities = try(local.task_definition.requiresCompatibilities, null)
  network_mode             = try(local.task_definition.networkMode, null)
  cpu                      = try(local.task_definition.cpu, null)
  memory                   = try(local.task_definition.memory, null)
  execution_role_arn       = try(local.task_definition.executionRoleArn, null)
  task_role_arn            = try(local.task_definition.taskRoleArn, null)
  container_definitions    = jsonencode(try(local.task_definition.containerDefinitions, []))

  runtime_platform {
    operating_system_family = try(local.task_definition.runtimePlatform.operatingSystemFamily, null)
    cpu_architecture        = try(local.task_definition.runtimePlatform.cpuArchitecture, null)
  }

  # A revision that runs, or that can be rolled back to, outlives the settings that made it; destroy takes them all.
  skip_destroy = true

  lifecycle {
    precondition {
      condition     = length(local.leftover) == 0
      error_message = "taskdef.json has a placeholder without a value: ${join(", ", local.leftover)}. Known are: ${join(", ", sort(keys(local.replacements)))}."
    }

    precondition {
      condition     = length(local.leftover) > 0 || local.task_definition != null
      error_message = "taskdef.json is not valid JSON once its placeholders are filled in."
    }

    precondition {
      condition     = local.task_definition == null || length(setsubtract(try(keys(local.task_definition), []), local.known_keys)) == 0
      error_message = "taskdef.json has a key that module service does not hand on: ${join(", ", setsubtract(try(keys(local.task_definition), []), local.known_keys))}."
    }
  }
}
