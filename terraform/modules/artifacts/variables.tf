variable "force_destroy" {
  description = "Let destroy delete the artifacts with their bucket."
  type        = bool
}

variable "name" {
  description = "Prefix of the bucket's and the key's name."
  type        = string
}

variable "retention_days" {
  description = "Days that artifacts are kept."
  type        = number

  validation {
    condition     = var.retention_days >= 1
    error_message = "retention_days must be 1 or more."
  }
}
