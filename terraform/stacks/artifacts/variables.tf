variable "account" {
  description = "The only AWS account that is touched."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Let destroy delete the artifact bucket with the artifacts in it; must have been applied before."
  type        = bool
  default     = false
}

variable "name" {
  description = "Name of everything that this deployment makes."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,24}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 26 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "retention_days" {
  description = "Days that the pipeline's artifacts are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 1
    error_message = "retention_days must be 1 or more."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
