variable "name" {
  description = "Name of the VPC, and prefix of the names in it."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets of the existing VPC."
  type        = list(string)
  default     = []
}

variable "subnet_tags" {
  description = "Tags that select the public subnets of the existing VPC, when subnet_ids is empty."
  type        = map(string)
  default     = {}
}

variable "vpc_cidr" {
  description = "Addresses of the new VPC."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 1))
    error_message = "vpc_cidr must be an IPv4 CIDR block with room for sixteen subnets."
  }
}

variable "vpc_id" {
  description = "Existing VPC; null means a new one."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || length(var.subnet_ids) > 0 || length(var.subnet_tags) > 0
    error_message = "vpc_id needs subnet_ids or subnet_tags: which subnets of it are public is not guessed."
  }
}
