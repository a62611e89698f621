mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
}

override_resource {
  target = aws_kms_key.this
  values = { arn = "arn:aws:kms:eu-west-1:123456789012:key/1" }
}

override_resource {
  target = aws_s3_bucket.this
  values = { arn = "arn:aws:s3:::chatbot-pipeline-123456789012-eu-west-1" }
}

variables {
  force_destroy  = false
  name           = "chatbot"
  retention_days = 30
}

run "artifacts_are_private" {
  assert {
    condition     = alltrue([aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy, aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets])
    error_message = "The bucket can be made public."
  }
}

run "artifacts_are_encrypted_with_a_key_that_rotates" {
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.this.arn && aws_kms_key.this.enable_key_rotation
    error_message = "An artifact is not encrypted with the key, or the key never changes."
  }
}

run "artifacts_are_versioned_expire_and_are_safe_from_destroy" {
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].days == 30 && !aws_s3_bucket.this.force_destroy
    error_message = "Artifacts are not versioned, not expired, or not safe from destroy."
  }
}

run "the_name_is_the_accounts_and_the_regions_own" {
  assert {
    condition     = output.bucket == "chatbot-pipeline-123456789012-eu-west-1" && output.key_arn == aws_kms_key.this.arn && output.bucket_arn == aws_s3_bucket.this.arn
    error_message = "Two accounts would want the same bucket."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    retention_days = 0
  }

  expect_failures = [var.retention_days]
}
