variable "repository_arn" {
  description = "ARN of the repository."
  type        = string
}
