variable "name" {
  description = "Name of everything that this deployment makes."
  type        = string
}

variable "registry_arn" {
  description = "ARN of the repository that images are pushed to."
  type        = string
}

variable "state_bucket" {
  description = "Bucket of the Terraform state, whose folder sources/ holds what is to be built."
  type        = string
}
