variable "account" {
  description = "The only AWS account that is touched."
  type        = string
  default     = null
}

variable "force_delete" {
  description = "Let destroy delete the repository with the images in it; must have been applied before."
  type        = bool
  default     = false
}

variable "keep_images" {
  description = "How many of the newest images are kept: as many releases can be rolled back to."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_images >= 2 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images must be a whole number of 2 or more: the running image and the one before it."
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

variable "region" {
  description = "AWS region."
  type        = string
}

variable "sources" {
  description = "Folder of the state bucket that holds what is to be built."
  type        = string
  default     = "sources"
}

variable "state_bucket" {
  description = "Bucket of the Terraform state, which also holds the sources of builds without Docker."
  type        = string
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
