variable "name" {
  description = "Name of everything that this deployment makes."
  type        = string
}

variable "registry_arn" {
  description = "ARN of the repository that images are pushed to."
  type        = string
}

variable "sources" {
  description = "Folder of the state bucket that holds what is to be built."
  type        = string
  default     = "sources"
}

variable "state_bucket" {
  description = "Bucket of the Terraform state, which also holds what is to be built."
  type        = string
}
