module "registry" {
  source = "../../modules/registry"

  force_delete = var.force_delete
  keep_images  = var.keep_images
  name         = var.name
}
