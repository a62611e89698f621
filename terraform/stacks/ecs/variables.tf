variable "account" {
  description = "The only AWS account that is touched."
  type        = string
  default     = null
}

variable "alarm_5xx_threshold" {
  description = "Answers of 5xx from one colour within a minute that raise its alarm, and roll a running release back."
  type        = number
  default     = 5

  validation {
    condition     = var.alarm_5xx_threshold >= 1
    error_message = "alarm_5xx_threshold must be 1 or more."
  }
}

variable "alarm_evaluation_periods" {
  description = "Minutes in a row that an alarm's condition must hold."
  type        = number
  default     = 1

  validation {
    condition     = var.alarm_evaluation_periods >= 1 && var.alarm_evaluation_periods <= 60
    error_message = "alarm_evaluation_periods must be 1 to 60."
  }
}

variable "chatbot_backend" {
  description = "Who answers: huggingface, openai (any compatible chatbot_base_url), embedded (the tiny model in the image), or auto."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "embedded", "huggingface", "openai"], var.chatbot_backend)
    error_message = "chatbot_backend must be auto, embedded, huggingface or openai."
  }

  validation {
    condition     = var.chatbot_backend != "openai" || var.chatbot_base_url != ""
    error_message = "chatbot_backend openai needs chatbot_base_url."
  }
}

variable "chatbot_base_url" {
  description = "Base URL of an OpenAI-compatible server (TGI, vLLM, llama-server, Ollama); empty means none."
  type        = string
  default     = ""

  validation {
    condition     = var.chatbot_base_url == "" || can(regex("^https?://[^\\s@]+$", var.chatbot_base_url))
    error_message = "chatbot_base_url must be an http or https URL without a user or password in it."
  }
}

variable "chatbot_max_tokens" {
  description = "Longest answer in tokens; null leaves it to the chatbot."
  type        = number
  default     = null

  validation {
    condition     = var.chatbot_max_tokens == null ? true : var.chatbot_max_tokens >= 1 && floor(var.chatbot_max_tokens) == var.chatbot_max_tokens
    error_message = "chatbot_max_tokens must be a whole number of 1 or more."
  }
}

variable "chatbot_model" {
  description = "Model to ask for, such as meta-llama/Llama-3.1-8B-Instruct; empty leaves it to the chatbot."
  type        = string
  default     = ""
}

variable "chatbot_rate_per_minute" {
  description = "Requests that start work, per visitor and minute; 0 means no limit, null leaves it to the chatbot."
  type        = number
  default     = null

  validation {
    condition     = var.chatbot_rate_per_minute == null ? true : var.chatbot_rate_per_minute >= 0
    error_message = "chatbot_rate_per_minute must be 0 (no limit) or more."
  }
}

variable "chatbot_system_prompt" {
  description = "What the model is told before a conversation; empty leaves it to the chatbot."
  type        = string
  default     = ""
}

variable "chatbot_temperature" {
  description = "Temperature of the answers; null leaves it to the chatbot."
  type        = number
  default     = null

  validation {
    condition     = var.chatbot_temperature == null ? true : var.chatbot_temperature >= 0 && var.chatbot_temperature <= 2
    error_message = "chatbot_temperature must be 0 to 2."
  }
}

variable "chatbot_title" {
  description = "Title of the page; empty leaves it to the chatbot."
  type        = string
  default     = ""
}

variable "chatbot_visitor_settings" {
  description = "What a visitor may change: system_prompt, temperature, max_tokens, model."
  type        = list(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.chatbot_visitor_settings, ["max_tokens", "model", "system_prompt", "temperature"])) == 0
    error_message = "chatbot_visitor_settings may hold system_prompt, temperature, max_tokens and model."
  }
}

variable "cpu" {
  description = "CPU units of a task (1024 is one vCPU)."
  type        = number
  default     = 512

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "cpu must be one of Fargate's sizes: 256, 512, 1024, 2048, 4096, 8192, 16384."
  }
}

variable "cpu_target" {
  description = "Average CPU use in percent that autoscaling aims at."
  type        = number
  default     = 60

  validation {
    condition     = var.cpu_target >= 10 && var.cpu_target <= 90
    error_message = "cpu_target must be 10 to 90 percent."
  }
}

variable "custom_deployment_config" {
  description = "A deployment configuration of your own instead of deployment_config: type canary or linear, percentage, interval_minutes."
  type = object({
    type             = string
    percentage       = number
    interval_minutes = number
  })
  default = null

  validation {
    condition     = var.custom_deployment_config == null ? true : contains(["canary", "linear"], var.custom_deployment_config.type)
    error_message = "custom_deployment_config.type must be canary or linear."
  }

  validation {
    condition     = var.custom_deployment_config == null ? true : var.custom_deployment_config.percentage >= 1 && var.custom_deployment_config.percentage <= 99
    error_message = "custom_deployment_config.percentage must be 1 to 99."
  }

  validation {
    condition     = var.custom_deployment_config == null ? true : var.custom_deployment_config.interval_minutes >= 1 && var.custom_deployment_config.interval_minutes <= 2880
    error_message = "custom_deployment_config.interval_minutes must be 1 to 2880 (two days)."
  }
}

variable "deployment_config" {
  description = "How a release shifts production traffic: one of CodeDeploy's predefined configurations for ECS."
  type        = string
  default     = "CodeDeployDefault.ECSAllAtOnce"

  validation {
    condition = contains([
      "CodeDeployDefault.ECSAllAtOnce",
      "CodeDeployDefault.ECSCanary10Percent5Minutes",
      "CodeDeployDefault.ECSCanary10Percent15Minutes",
      "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
      "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
    ], var.deployment_config)
    error_message = "deployment_config must be CodeDeployDefault.ECSAllAtOnce, ...ECSCanary10Percent5Minutes, ...ECSCanary10Percent15Minutes, ...ECSLinear10PercentEvery1Minutes or ...ECSLinear10PercentEvery3Minutes; your own goes into custom_deployment_config."
  }
}

variable "desired_count" {
  description = "Tasks that the service starts with; autoscaling moves it afterwards."
  type        = number
  default     = 2

  validation {
    condition     = var.desired_count >= var.min_capacity && var.desired_count <= var.max_capacity
    error_message = "desired_count must lie between min_capacity and max_capacity."
  }
}

variable "ecr" {
  description = "What the stack ecr made."
  type = object({
    repository_arn = string
  })
}

variable "fargate_spot_weight" {
  description = "Share of tasks on FARGATE_SPOT: cheaper, and taken away with two minutes' notice."
  type        = number
  default     = 0

  validation {
    condition     = var.fargate_spot_weight >= 0 && var.fargate_spot_weight <= 1000
    error_message = "fargate_spot_weight must be 0 to 1000."
  }
}

variable "fargate_weight" {
  description = "Share of tasks on FARGATE."
  type        = number
  default     = 1

  validation {
    condition     = var.fargate_weight >= 0 && var.fargate_weight <= 1000
    error_message = "fargate_weight must be 0 to 1000."
  }

  validation {
    condition     = var.fargate_weight + var.fargate_spot_weight > 0
    error_message = "fargate_weight and fargate_spot_weight cannot both be 0."
  }
}

variable "health_check_grace_period" {
  description = "Seconds after its start in which a task is not replaced for failed health checks."
  type        = number
  default     = 60

  validation {
    condition     = var.health_check_grace_period >= 0 && var.health_check_grace_period <= 7200
    error_message = "health_check_grace_period must be 0 to 7200 seconds."
  }
}

variable "hook" {
  description = "Hold a real conversation with green through the test listener before production traffic moves."
  type        = bool
  default     = true

  # A function has no address of its own; docs/decisions/0004 says why it is not in the VPC.
  validation {
    condition     = !var.hook || contains(var.network.test_cidrs, "0.0.0.0/0")
    error_message = "The hook calls the test listener from an address of AWS that nobody knows beforehand: add 0.0.0.0/0 to test_cidrs of stack network, or set hook = false."
  }
}

variable "hook_package" {
  description = "Zip of modules/deployment/hook/hook.py: its path, and the base64 of its SHA-256. Needed when hook is true."
  type = object({
    path = string
    hash = string
  })
  default = null

  validation {
    condition     = !var.hook || var.hook_package != null
    error_message = "hook = true needs hook_package (the orchestrator makes it); without it set hook = false."
  }
}

variable "image" {
  description = "The image of the first deployment, by digest, and the platform that it runs on."
  type = object({
    platform = optional(string, "linux/amd64")
    uri      = string
  })

  validation {
    condition     = contains(["linux/amd64", "linux/arm64"], var.image.platform)
    error_message = "image.platform must be linux/amd64 or linux/arm64."
  }

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image.uri))
    error_message = "image.uri must end with a digest (repository@sha256:...): a tag could mean another image tomorrow."
  }
}

variable "log_retention_days" {
  description = "Days that the chatbot's log is kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "max_capacity" {
  description = "Most tasks that autoscaling starts."
  type        = number
  default     = 6

  validation {
    condition     = var.max_capacity >= var.min_capacity
    error_message = "max_capacity must not be less than min_capacity."
  }
}

variable "memory" {
  description = "Memory of a task in MiB, in one of Fargate's sizes for its cpu."
  type        = number
  default     = 1024

  validation {
    condition = contains(lookup({
      "256"   = [512, 1024, 2048]
      "512"   = range(1024, 4097, 1024)
      "1024"  = range(2048, 8193, 1024)
      "2048"  = range(4096, 16385, 1024)
      "4096"  = range(8192, 30721, 1024)
      "8192"  = range(16384, 61441, 4096)
      "16384" = range(32768, 122881, 8192)
    }, tostring(var.cpu), []), var.memory)
    error_message = "memory must be a size that Fargate pairs with cpu: 256: 512, 1024, 2048; 512: 1024 to 4096; 1024: 2048 to 8192; 2048: 4096 to 16384; 4096: 8192 to 30720 (steps of 1024); 8192: 16384 to 61440 (4096); 16384: 32768 to 122880 (8192)."
  }
}

variable "min_capacity" {
  description = "Fewest tasks that autoscaling leaves."
  type        = number
  default     = 2

  validation {
    condition     = var.min_capacity >= 1
    error_message = "min_capacity must be 1 or more."
  }
}

variable "name" {
  description = "Name of everything that this deployment makes."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,24}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 26 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "network" {
  description = "What the stack network made."
  type = object({
    listener_stickiness_duration = number
    load_balancer_arn_suffix     = string
    load_balancer_dns_name       = string
    production_listener_arn      = string
    security_group_id            = string
    subnet_ids                   = list(string)
    target_groups                = map(object({ arn = string, arn_suffix = string, name = string }))
    test_cidrs                   = list(string)
    test_listener_arn            = string
    test_url                     = string
    vpc_id                       = string
  })
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "secret" {
  description = "The Hugging Face token's secret."
  type        = object({ arn = string })
}

variable "stop_timeout" {
  description = "Seconds between SIGTERM and SIGKILL of a container: time to finish the answers that are streaming."
  type        = number
  default     = 60

  validation {
    condition     = var.stop_timeout >= 2 && var.stop_timeout <= 120
    error_message = "stop_timeout must be 2 to 120 seconds (Fargate's limit)."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}

variable "termination_wait_minutes" {
  description = "Minutes that blue stays after all traffic moved; a rollback is possible as long."
  type        = number
  default     = 5

  validation {
    condition     = var.termination_wait_minutes >= 0 && var.termination_wait_minutes <= 2880
    error_message = "termination_wait_minutes must be 0 to 2880 (two days)."
  }
}
