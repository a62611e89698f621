mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }

  mock_data "aws_subnets" {
    defaults = { ids = ["subnet-2", "subnet-1"] }
  }
}

variables {
  name = "chatbot"
}

run "a_new_vpc_has_two_public_subnets_in_two_zones" {
  assert {
    condition     = toset([for subnet in aws_subnet.public : subnet.availability_zone]) == toset(["us-east-1a", "us-east-1b"])
    error_message = "The subnets are not in the first two zones."
  }

  assert {
    condition     = toset([for subnet in aws_subnet.public : subnet.cidr_block]) == toset(["10.0.0.0/20", "10.0.16.0/20"])
    error_message = "The subnets do not share out the VPC's addresses."
  }

  assert {
    condition     = one(aws_route_table.public[0].route).cidr_block == "0.0.0.0/0" && one(aws_route_table.public[0].route).gateway_id == aws_internet_gateway.this[0].id
    error_message = "The subnets have no way to the internet."
  }

  assert {
    condition     = toset(keys(aws_route_table_association.public)) == toset(keys(aws_subnet.public))
    error_message = "A subnet has no route."
  }

  assert {
    condition     = output.vpc_id == aws_vpc.this[0].id && length(output.subnet_ids) == 2
    error_message = "The outputs are not those of the new VPC."
  }
}

run "the_new_vpc_takes_its_addresses_from_the_setting" {
  variables {
    vpc_cidr = "172.31.0.0/16"
  }

  assert {
    condition     = aws_vpc.this[0].cidr_block == "172.31.0.0/16" && aws_subnet.public["us-east-1b"].cidr_block == "172.31.16.0/20"
    error_message = "vpc_cidr is not used."
  }
}

run "an_existing_vpc_is_used_as_it_is" {
  command = plan

  variables {
    vpc_id     = "vpc-0a"
    subnet_ids = ["subnet-b", "subnet-a"]
  }

  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.public) + length(aws_internet_gateway.this) + length(aws_route_table.public) == 0
    error_message = "Something is made beside the existing VPC."
  }

  assert {
    condition     = output.vpc_id == "vpc-0a" && output.subnet_ids == tolist(["subnet-b", "subnet-a"])
    error_message = "The outputs are not those of the existing VPC."
  }
}

run "subnets_of_an_existing_vpc_are_found_by_tag" {
  command = plan

  variables {
    vpc_id      = "vpc-0a"
    subnet_tags = { Tier = "public" }
  }

  assert {
    condition     = one(data.aws_subnets.tagged[0].filter).name == "vpc-id" && one(data.aws_subnets.tagged[0].filter).values == toset(["vpc-0a"]) && data.aws_subnets.tagged[0].tags["Tier"] == "public"
    error_message = "The look-up is not limited to the VPC and the tags."
  }

  assert {
    condition     = output.subnet_ids == tolist(["subnet-1", "subnet-2"])
    error_message = "The subnets found are not those used, or their order may change from plan to plan."
  }
}

run "tags_that_select_one_subnet_are_refused" {
  command = plan

  variables {
    vpc_id      = "vpc-0a"
    subnet_tags = { Tier = "public" }
  }

  override_data {
    target = data.aws_subnets.tagged[0]
    values = { ids = ["subnet-1"] }
  }

  expect_failures = [output.subnet_ids]
}

run "an_existing_vpc_without_subnets_is_refused" {
  command = plan

  variables {
    vpc_id = "vpc-0a"
  }

  expect_failures = [var.vpc_id]
}

run "addresses_that_are_no_block_are_refused" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0"
  }

  expect_failures = [var.vpc_cidr]
}
