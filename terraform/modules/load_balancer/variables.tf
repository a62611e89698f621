variable "certificate_arn" {
  description = "ACM certificate: both listeners speak HTTPS and port 80 redirects; null means HTTP."
  type        = string
  default     = null
}

variable "container_port" {
  description = "Port of the targets."
  type        = number
}

variable "deregistration_delay" {
  description = "Seconds that a target may finish open requests."
  type        = number
}

variable "domain_name" {
  description = "Name that people open; null means the load balancer's own."
  type        = string
  default     = null
}

variable "health_check" {
  description = "Health check of both target groups; times in seconds."
  type = object({
    healthy_threshold   = number
    interval            = number
    path                = string
    timeout             = number
    unhealthy_threshold = number
  })

  validation {
    condition     = startswith(var.health_check.path, "/")
    error_message = "health_check.path must start with a slash."
  }

  validation {
    condition     = var.health_check.timeout < var.health_check.interval
    error_message = "health_check.timeout must be less than health_check.interval."
  }
}

variable "idle_timeout" {
  description = "Seconds that a silent connection stays open."
  type        = number

  validation {
    condition     = var.idle_timeout >= 1 && var.idle_timeout <= 4000
    error_message = "idle_timeout must be 1 to 4000 seconds."
  }
}

variable "listener_stickiness_duration" {
  description = "Seconds that a client keeps its colour after a request; 0 is off."
  type        = number
  default     = 5

  validation {
    condition     = var.listener_stickiness_duration >= 0 && var.listener_stickiness_duration <= 604800
    error_message = "listener_stickiness_duration must be 0 (off) to 604800 seconds."
  }
}

variable "name" {
  description = "Name of the load balancer, and prefix of its target groups and security group."
  type        = string

  validation {
    condition     = length(var.name) <= 26
    error_message = "name must be at most 26 characters: a target group's name, with its colour, has room for 32."
  }
}

variable "production_port" {
  description = "Port of the production listener; null means the protocol's own."
  type        = number
  default     = null
}

variable "stickiness_duration" {
  description = "Seconds that a client keeps its task."
  type        = number

  validation {
    condition     = var.stickiness_duration >= 1 && var.stickiness_duration <= 604800
    error_message = "stickiness_duration must be 1 to 604800 seconds."
  }
}

variable "subnet_ids" {
  description = "Public subnets, in two availability zones or more."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must name two subnets or more."
  }
}

variable "test_cidrs" {
  description = "Who may open the test listener."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.test_cidrs : can(cidrnetmask(cidr))])
    error_message = "test_cidrs must be IPv4 CIDR blocks."
  }
}

variable "test_port" {
  description = "Port of the test listener."
  type        = number

  validation {
    condition     = var.test_port != coalesce(var.production_port, var.certificate_arn == null ? 80 : 443)
    error_message = "test_port must differ from production_port."
  }
}

variable "vpc_id" {
  description = "VPC of the target groups."
  type        = string
}
