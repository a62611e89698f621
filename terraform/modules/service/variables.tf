variable "capacity_provider_weights" {
  description = "Share of tasks per capacity provider, FARGATE and FARGATE_SPOT."
  type        = map(number)

  validation {
    condition     = length(setsubtract(keys(var.capacity_provider_weights), ["FARGATE", "FARGATE_SPOT"])) == 0
    error_message = "capacity_provider_weights knows FARGATE and FARGATE_SPOT."
  }

  validation {
    condition     = sum(concat([0], values(var.capacity_provider_weights))) > 0
    error_message = "capacity_provider_weights cannot all be 0."
  }
}

variable "container_name" {
  description = "Name of the container in the task definition."
  type        = string
}

variable "container_port" {
  description = "Port that the container listens on."
  type        = number

  validation {
    condition     = var.container_port >= 1 && var.container_port <= 65535
    error_message = "container_port must be 1 to 65535."
  }
}

variable "cpu" {
  description = "CPU units of a task."
  type        = number
}

variable "cpu_architecture" {
  description = "Processor of the tasks: X86_64 or ARM64, as the image was built."
  type        = string

  validation {
    condition     = contains(["ARM64", "X86_64"], var.cpu_architecture)
    error_message = "cpu_architecture must be ARM64 or X86_64."
  }
}

variable "cpu_target" {
  description = "Average CPU use in percent that autoscaling aims at."
  type        = number
}

variable "desired_count" {
  description = "Tasks that the service starts with."
  type        = number

  validation {
    condition     = var.desired_count >= var.min_capacity && var.desired_count <= var.max_capacity
    error_message = "desired_count must lie between min_capacity and max_capacity."
  }
}

variable "environment" {
  description = "Further placeholders of taskdef.json by name: the chatbot's settings."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "environment must be named in capitals, digits and underscores, as placeholders are."
  }
}

variable "health_check_grace_period" {
  description = "Seconds after its start in which a task is not replaced for failed health checks."
  type        = number
}

variable "image" {
  description = "Image of the first deployment, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must end with a digest (repository@sha256:...)."
  }
}

variable "load_balancer_security_group_id" {
  description = "Security group of the load balancer, the only one that may call the tasks."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the log is kept."
  type        = number
}

variable "max_capacity" {
  description = "Most tasks that autoscaling starts."
  type        = number
}

variable "memory" {
  description = "Memory of a task in MiB."
  type        = number
}

variable "min_capacity" {
  description = "Fewest tasks that autoscaling leaves."
  type        = number

  validation {
    condition     = var.min_capacity >= 1
    error_message = "min_capacity must be 1 or more."
  }
}

variable "name" {
  description = "Name of cluster, service and task family, and prefix of their roles."
  type        = string
}

variable "repository_arn" {
  description = "Repository that tasks pull from."
  type        = string
}

variable "secret_arn" {
  description = "ARN of the Hugging Face token's secret, which has a value."
  type        = string
}

variable "stop_timeout" {
  description = "Seconds between SIGTERM and SIGKILL of a container."
  type        = number

  validation {
    condition     = var.stop_timeout >= 2 && var.stop_timeout <= 120
    error_message = "stop_timeout must be 2 to 120 seconds (Fargate's limit)."
  }
}

variable "subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "target_group_arn" {
  description = "Target group of the first deployment."
  type        = string
}

variable "task_definition_template" {
  description = "Text of taskdef.json with its placeholders."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
}
