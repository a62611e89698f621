module "artifacts" {
  source = "../../modules/artifacts"

  force_destroy  = var.force_destroy
  name           = var.name
  retention_days = var.retention_days
}
