module "secret" {
  source = "../../modules/secret"

  name          = var.name
  recovery_days = var.recovery_days
}
