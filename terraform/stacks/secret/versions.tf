terraform {
  required_version = ">= 1.11"

  # Bucket, key and region come by -backend-config; endpoint and credentials from the environment.
  backend "s3" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  # Terraform and the tool that runs it look for credentials in ways of their own: they must find the same account.
  allowed_account_ids = var.account == null ? null : [var.account]

  region            = var.region
  s3_use_path_style = true

  default_tags {
    tags = merge({ Application = var.name, ManagedBy = "terraform" }, var.tags)
  }
}
