output "artifacts" {
  description = "What the stack pipeline needs of this stack."
  value = {
    bucket     = module.artifacts.bucket
    bucket_arn = module.artifacts.bucket_arn
    key_arn    = module.artifacts.key_arn
  }
}
