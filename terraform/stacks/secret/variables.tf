variable "account" {
  description = "The only AWS account that is touched."
  type        = string
  default     = null
}

variable "name" {
  description = "Name of everything that this deployment makes."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,24}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 26 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "recovery_days" {
  description = "Days in which the deleted Hugging Face token can be restored; 0 deletes at once, so that destroy and deploy again works at once."
  type        = number
  default     = 0

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 0, or 7 to 30."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
