variable "alarm_5xx_threshold" {
  description = "Answers of 5xx within a minute that raise a colour's alarm."
  type        = number

  validation {
    condition     = var.alarm_5xx_threshold >= 1
    error_message = "alarm_5xx_threshold must be 1 or more."
  }
}

variable "alarm_evaluation_periods" {
  description = "Minutes in a row that an alarm's condition must hold."
  type        = number
}

variable "cluster_name" {
  description = "Cluster of the service."
  type        = string
}

variable "custom_deployment_config" {
  description = "Canary or linear configuration of one's own; null means deployment_config."
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
}

variable "deployment_config" {
  description = "Predefined configuration of CodeDeploy for ECS."
  type        = string

  validation {
    condition     = startswith(var.deployment_config, "CodeDeployDefault.ECS")
    error_message = "deployment_config must be one of CodeDeployDefault.ECS...; your own goes into custom_deployment_config."
  }
}

variable "hook" {
  description = "Lambda package of the hook, the test listener, and the load balancer's own name; null means no hook."
  type = object({
    package_hash = string
    package_path = string
    test_address = string
    test_url     = string
  })
  default = null
}

variable "listener_stickiness_duration" {
  description = "Seconds that a client keeps its colour at the production listener."
  type        = number
}

variable "load_balancer_arn_suffix" {
  description = "Load balancer as CloudWatch's dimension names it."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the hook's log is kept."
  type        = number
}

variable "name" {
  description = "Name of application and deployment group."
  type        = string
}

variable "production_listener_arn" {
  description = "Listener of production traffic."
  type        = string
}

variable "service_name" {
  description = "Service that is released."
  type        = string
}

variable "target_groups" {
  description = "Both colours."
  type        = map(object({ arn_suffix = string, name = string }))

  validation {
    condition     = toset(keys(var.target_groups)) == toset(["blue", "green"])
    error_message = "target_groups must be blue and green."
  }
}

variable "termination_wait_minutes" {
  description = "Minutes that blue stays after all traffic moved."
  type        = number

  validation {
    condition     = var.termination_wait_minutes >= 0 && var.termination_wait_minutes <= 2880
    error_message = "termination_wait_minutes must be 0 to 2880 (two days)."
  }
}

variable "test_listener_arn" {
  description = "Listener of test traffic."
  type        = string
}
