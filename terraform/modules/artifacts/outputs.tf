output "bucket" {
  description = "Bucket of the artifacts."
  value       = aws_s3_bucket.this.bucket

  # Nothing is stored before it would be private, encrypted and versioned.
  depends_on = [
    aws_s3_bucket_public_access_block.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "bucket_arn" {
  description = "The bucket's ARN."
  value       = aws_s3_bucket.this.arn
}

output "key_arn" {
  description = "Key that the artifacts are encrypted with."
  value       = aws_kms_key.this.arn
}
