variable "account" {
  description = "The only AWS account that is touched."
  type        = string
  default     = null
}

variable "approval" {
  description = "Ask a person between Build and Deploy."
  type        = bool
  default     = false
}

variable "artifacts" {
  description = "What the stack artifacts made."
  type = object({
    bucket     = string
    bucket_arn = string
    key_arn    = string
  })
}

variable "branch" {
  description = "Branch whose pushes are released."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.branch))
    error_message = "branch must be the name of a git branch."
  }
}

variable "build_compute_type" {
  description = "Size of the machine that builds."
  type        = string
  default     = "BUILD_GENERAL1_SMALL"

  validation {
    condition     = contains(["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE"], var.build_compute_type)
    error_message = "build_compute_type must be BUILD_GENERAL1_SMALL, BUILD_GENERAL1_MEDIUM or BUILD_GENERAL1_LARGE."
  }
}

variable "build_image" {
  description = "Image that the build runs in: needs Docker and Python 3.11. Null: Amazon Linux 2023 of image.platform."
  type        = string
  default     = null
}

variable "build_timeout_minutes" {
  description = "Minutes after which a build is stopped."
  type        = number
  default     = 20

  validation {
    condition     = var.build_timeout_minutes >= 5 && var.build_timeout_minutes <= 2160
    error_message = "build_timeout_minutes must be 5 to 2160."
  }
}

variable "connection_arn" {
  description = "Connection to GitHub, already accepted; null with github_repository makes one, which waits for your handshake in the console."
  type        = string
  default     = null

  validation {
    condition     = var.connection_arn == null ? true : can(regex("^arn:[a-z-]+:(codestar-connections|codeconnections):[a-z0-9-]+:[0-9]{12}:connection/.+$", var.connection_arn))
    error_message = "connection_arn must be the ARN of a connection (arn:aws:codeconnections:REGION:ACCOUNT:connection/ID)."
  }

  validation {
    condition     = var.connection_arn == null || var.github_repository != null
    error_message = "connection_arn needs github_repository (OWNER/REPOSITORY)."
  }
}

variable "ecr" {
  description = "What the stack ecr made."
  type = object({
    repository_arn  = string
    repository_name = string
    repository_url  = string
  })
}

variable "ecs" {
  description = "What the stack ecs made."
  type = object({
    application_name       = string
    deployment_config_name = string
    deployment_group_name  = string
    execution_role_arn     = string
    placeholders           = map(string)
    task_role_arn          = string
  })
}

variable "github_repository" {
  description = "OWNER/REPOSITORY on GitHub as the source; null means a CodeCommit repository of this deployment's name."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null ? true : can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be OWNER/REPOSITORY."
  }
}

variable "image" {
  description = "How the phase image builds: the pipeline's build does the same."
  type = object({
    build_args = optional(map(string), {})
    builder    = optional(string, "auto")
    context    = optional(string, ".")
    dockerfile = optional(string, "Dockerfile")
    platform   = optional(string, "linux/amd64")
    target     = optional(string, "")
  })
  default = {}

  validation {
    condition     = alltrue([for name, value in var.image.build_args : can(regex("^[A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9._:/@=+,-]*$", "${name}=${value}"))])
    error_message = "image.build_args must be names with values of letters, digits and ._:/@=+,- (they pass through a shell)."
  }

  validation {
    condition     = contains(["auto", "bundle", "codebuild", "docker"], var.image.builder)
    error_message = "image.builder must be auto, bundle, codebuild or docker."
  }

  validation {
    condition     = can(regex("^([A-Za-z0-9][A-Za-z0-9_.-]*)?$", var.image.target))
    error_message = "image.target must be the name of a stage (it passes through a shell)."
  }

  validation {
    condition     = contains(["linux/amd64", "linux/arm64"], var.image.platform)
    error_message = "image.platform must be linux/amd64 or linux/arm64."
  }
}

variable "log_retention_days" {
  description = "Days that the build log is kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
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

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
