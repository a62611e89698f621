locals {
  new = var.vpc_id == null

  # Keys are known at plan time, ids are not: for_each needs the keys.
  zones = local.new ? slice(data.aws_availability_zones.this[0].names, 0, 2) : []
}

data "aws_availability_zones" "this" {
  count = local.new ? 1 : 0

  state = "available"

  # No local zones: they have neither load balancers nor Fargate.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

# enable_dns_hostnames stays off: nothing in here is called by such a name, and setting it takes ten seconds.
resource "aws_vpc" "this" {
  count = local.new ? 1 : 0

  cidr_block = var.vpc_cidr

  tags = { Name = var.name }
}

resource "aws_internet_gateway" "this" {
  count = local.new ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = var.name }
}

resource "aws_route_table" "public" {
  count = local.new ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this[0].id
  }

  tags = { Name = "${var.name}-public" }
}

resource "aws_subnet" "public" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id            = aws_vpc.this[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, each.value)

  tags = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}

data "aws_subnets" "tagged" {
  count = length(var.subnet_tags) > 0 ? 1 : 0

  tags = var.subnet_tags

  filter {
    name   = "vpc-id"
    values = [var.vpc_id]
  }
}
