variable "application_name" {
  description = "CodeDeploy application of the service."
  type        = string
}

variable "approval" {
  description = "Ask a person between Build and Deploy."
  type        = bool
  default     = false
}

variable "artifacts" {
  description = "Where artifacts are stored, and the key that encrypts them."
  type = object({
    bucket     = string
    bucket_arn = string
    key_arn    = string
  })
}

variable "branch" {
  description = "Branch whose pushes are released."
  type        = string
}

variable "build_compute_type" {
  description = "Size of the machine that builds."
  type        = string
}

variable "build_image" {
  description = "Image that the build runs in; null: Amazon Linux 2023 of image.platform."
  type        = string
  default     = null
}

variable "build_timeout_minutes" {
  description = "Minutes after which a build is stopped."
  type        = number

  validation {
    condition     = var.build_timeout_minutes >= 5 && var.build_timeout_minutes <= 2160
    error_message = "build_timeout_minutes must be 5 to 2160."
  }
}

variable "connection_arn" {
  description = "Connection to GitHub; null with github_repository makes one."
  type        = string
  default     = null

  validation {
    condition     = var.connection_arn == null || var.github_repository != null
    error_message = "connection_arn needs github_repository (OWNER/REPOSITORY)."
  }
}

variable "deployment_config_name" {
  description = "Deployment configuration of the deployment group."
  type        = string
}

variable "deployment_group_name" {
  description = "CodeDeploy deployment group of the service."
  type        = string
}

variable "github_repository" {
  description = "OWNER/REPOSITORY on GitHub; null means a CodeCommit repository."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null ? true : can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be OWNER/REPOSITORY."
  }
}

variable "image" {
  description = "How the image is built."
  type = object({
    build_args = map(string)
    builder    = string
    context    = string
    dockerfile = string
    platform   = string
    target     = string
  })

  validation {
    condition     = alltrue([for name, value in var.image.build_args : can(regex("^[A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9._:/@=+,-]*$", "${name}=${value}"))])
    error_message = "image.build_args must be names with values of letters, digits and ._:/@=+,- (they pass through a shell)."
  }
}

variable "log_retention_days" {
  description = "Days that the build log is kept."
  type        = number
}

variable "name" {
  description = "Name of the pipeline and its repository, and prefix of the rest."
  type        = string
}

variable "placeholders" {
  description = "What taskdef.json and appspec.yaml are rendered with."
  type        = map(string)
}

variable "registry_arn" {
  description = "ECR repository that the build pushes to."
  type        = string
}

variable "registry_name" {
  description = "Name of the ECR repository."
  type        = string
}

variable "registry_url" {
  description = "URL of the ECR repository."
  type        = string
}

variable "task_role_arns" {
  description = "Roles in the task definition, which the pipeline hands to ECS."
  type        = list(string)
}
