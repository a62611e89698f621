variable "name" {
  description = "Name of the deployment, which the secret's begins with."
  type        = string
}

variable "recovery_days" {
  description = "Days in which the deleted token can be restored; 0 deletes at once."
  type        = number

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 0, or 7 to 30."
  }
}
