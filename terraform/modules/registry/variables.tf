variable "force_delete" {
  description = "Let destroy delete the repository with the images in it."
  type        = bool
}

variable "keep_images" {
  description = "How many of the newest images are kept."
  type        = number

  validation {
    condition     = var.keep_images >= 2
    error_message = "keep_images must be 2 or more: the running image and the one before it."
  }
}

variable "name" {
  description = "Name of the repository."
  type        = string
}
