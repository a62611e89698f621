variable "account" {
  description = "The only AWS account that is touched."
  type        = string
  default     = null
}

variable "allow_http" {
  description = "Speak plain HTTP where there is no certificate_arn; conversations can then be read on their way."
  type        = bool
  default     = false

  validation {
    condition     = var.allow_http || var.certificate_arn != null
    error_message = "Without certificate_arn the page speaks plain HTTP: choose it by allow_http = true."
  }
}

variable "certificate_arn" {
  description = "ACM certificate of domain_name. Production and test listeners then speak HTTPS, and port 80 redirects; null means HTTP."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null ? true : can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of an ACM certificate (arn:aws:acm:REGION:ACCOUNT:certificate/ID)."
  }

  validation {
    condition     = var.certificate_arn == null || var.domain_name != null
    error_message = "certificate_arn needs domain_name: browsers compare the certificate with the name that they opened."
  }
}

variable "deregistration_delay" {
  description = "Seconds that a target may finish open requests after it left its target group; no shorter than the longest answer."
  type        = number
  default     = 120

  validation {
    condition     = var.deregistration_delay >= 0 && var.deregistration_delay <= 3600
    error_message = "deregistration_delay must be 0 to 3600 seconds."
  }
}

variable "domain_name" {
  description = "Name that people open, pointed at the load balancer by you; null means the load balancer's own name."
  type        = string
  default     = null

  validation {
    condition     = var.domain_name == null ? true : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name must be a DNS name in lower case, such as chat.example.com."
  }
}

variable "health_check_healthy_threshold" {
  description = "Passed health checks in a row after which a target gets traffic."
  type        = number
  default     = 2

  validation {
    condition     = var.health_check_healthy_threshold >= 2 && var.health_check_healthy_threshold <= 10
    error_message = "health_check_healthy_threshold must be 2 to 10."
  }
}

variable "health_check_interval" {
  description = "Seconds between two health checks of one target."
  type        = number
  default     = 10

  validation {
    condition     = var.health_check_interval >= 5 && var.health_check_interval <= 300
    error_message = "health_check_interval must be 5 to 300 seconds."
  }
}

variable "health_check_path" {
  description = "Path of the health check; it answers 200 while the process is alive."
  type        = string
  default     = "/healthz"

  validation {
    condition     = startswith(var.health_check_path, "/")
    error_message = "health_check_path must start with a slash."
  }
}

variable "health_check_timeout" {
  description = "Seconds after which an unanswered health check has failed; less than health_check_interval."
  type        = number
  default     = 4

  validation {
    condition     = var.health_check_timeout >= 2 && var.health_check_timeout <= 120
    error_message = "health_check_timeout must be 2 to 120 seconds."
  }

  validation {
    condition     = var.health_check_timeout < var.health_check_interval
    error_message = "health_check_timeout must be less than health_check_interval."
  }
}

variable "health_check_unhealthy_threshold" {
  description = "Failed health checks in a row after which a target gets no traffic."
  type        = number
  default     = 3

  validation {
    condition     = var.health_check_unhealthy_threshold >= 2 && var.health_check_unhealthy_threshold <= 10
    error_message = "health_check_unhealthy_threshold must be 2 to 10."
  }
}

variable "idle_timeout" {
  description = "Seconds that the load balancer keeps a silent connection open; a slow model thinks longer than the usual 60."
  type        = number
  default     = 300

  validation {
    condition     = var.idle_timeout >= 1 && var.idle_timeout <= 4000
    error_message = "idle_timeout must be 1 to 4000 seconds."
  }
}

variable "listener_stickiness_duration" {
  description = "Seconds that a client keeps its colour after a request, so that a shift does not come between a question and its answer; 0 is off. Applied when the listener is created."
  type        = number
  default     = 5

  validation {
    condition     = var.listener_stickiness_duration >= 0 && var.listener_stickiness_duration <= 604800
    error_message = "listener_stickiness_duration must be 0 (off) to 604800 seconds."
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

variable "production_port" {
  description = "Port of the production listener; null means 443 with a certificate and 80 without."
  type        = number
  default     = null

  validation {
    condition     = var.production_port == null ? true : var.production_port >= 1 && var.production_port <= 65535
    error_message = "production_port must be 1 to 65535."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "stickiness_duration" {
  description = "Seconds that a client keeps its task: Gradio keeps a session in one process."
  type        = number
  default     = 3600

  validation {
    condition     = var.stickiness_duration >= 1 && var.stickiness_duration <= 604800
    error_message = "stickiness_duration must be 1 to 604800 seconds."
  }
}

variable "subnet_ids" {
  description = "Public subnets of the existing VPC vpc_id, in two availability zones or more."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) == 0 || length(distinct(var.subnet_ids)) >= 2
    error_message = "subnet_ids must name two different subnets or more: a load balancer stands in two availability zones."
  }
}

variable "subnet_tags" {
  description = "Tags that select the public subnets of the existing VPC vpc_id, instead of subnet_ids."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.subnet_ids) == 0 || length(var.subnet_tags) == 0
    error_message = "Give either subnet_ids or subnet_tags, not both."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}

variable "test_cidrs" {
  description = "Who may open the test listener. The test hook calls it from an address of Lambda's own, so narrow this only with hook = false."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.test_cidrs) > 0 && alltrue([for cidr in var.test_cidrs : can(cidrnetmask(cidr))])
    error_message = "test_cidrs must be a list of IPv4 CIDR blocks, such as [\"203.0.113.0/24\"]."
  }
}

variable "test_port" {
  description = "Port of the test listener, where a release is seen before it gets production traffic."
  type        = number
  default     = 8080

  validation {
    condition     = var.test_port >= 1 && var.test_port <= 65535
    error_message = "test_port must be 1 to 65535."
  }

  validation {
    condition     = var.test_port != coalesce(var.production_port, var.certificate_arn == null ? 80 : 443)
    error_message = "test_port must differ from production_port."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the new VPC."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(cidrsubnet(var.vpc_cidr, 8, 1)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 99) <= 20
    error_message = "vpc_cidr must be an IPv4 CIDR block of /16 to /20."
  }
}

variable "vpc_id" {
  description = "Existing VPC, with its public subnets by subnet_ids or subnet_tags; null means a new VPC."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null ? true : can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must look like vpc-0123456789abcdef0."
  }

  validation {
    condition     = var.vpc_id == null || length(var.subnet_ids) > 0 || length(var.subnet_tags) > 0
    error_message = "vpc_id needs subnet_ids or subnet_tags: which subnets of it are public is not guessed."
  }

  validation {
    condition     = var.vpc_id != null || (length(var.subnet_ids) == 0 && length(var.subnet_tags) == 0)
    error_message = "subnet_ids and subnet_tags select subnets of an existing VPC: set vpc_id too."
  }
}
